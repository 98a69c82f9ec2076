package train_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/checkpoint"
	"align/internal/train"
)

// judged is a toy whose evaluation has examples and a metric of its own.
type judged struct {
	*toy
	// values are the metric's at the evaluations, in their order.
	values  []float64
	metric  string
	calls   int
	average float64
}

func (j *judged) Evaluate(context.Context) (train.Metrics, error) {
	var m train.Metrics
	j.average = j.values[min(j.calls, len(j.values)-1)]
	j.calls++
	m.Add(j.metric, j.average, 1)
	return m, nil
}

func (j *judged) HeldLosses() []train.Loss {
	losses := make([]train.Loss, 12)
	for i := range losses {
		losses[i] = train.Loss{Sum: j.average + math.Sin(float64(i)), Weight: 1}
	}
	return losses
}

func runJudged(t *testing.T, o train.Options, j *judged, stop *train.Stop) (train.Result, *recorder) {
	t.Helper()
	r := &recorder{}
	result, err := train.Run(context.Background(), o, j.backend, j, &points{Micros: 2}, j, r, stop)
	if err != nil {
		t.Fatal(err)
	}
	return result, r
}

func bestOptions(run string) train.Options {
	o := options(run)
	o.EvaluateEvery, o.SaveEvery, o.Keep, o.Best = 2, 0, 1, "eval_loss"
	return o
}

func TestTheBestCheckpointStaysAndAnEarlyStopEndsTheRun(t *testing.T) {
	dir := t.TempDir()
	o := bestOptions(dir)
	o.EarlyStop = 3
	// Evaluations of steps 0, 2, 4, 6, 8, 10: the best is step 4, then three worse.
	j := &judged{toy: newToy(t), metric: "eval_loss", values: []float64{1, 3, 2, 2.5, 2.4, 2.3, 0}}
	result, _ := runJudged(t, o, j, nil)
	if !result.Early || result.Step != 10 || result.Best == nil || result.Best.Step != 4 || result.Best.Value != 2 || result.Best.Worse != 3 {
		t.Fatalf("result %+v, best %+v, want an early end at step 10 with step 4 the best", result, result.Best)
	}
	for _, name := range []string{"step-000004", "step-000010"} {
		if _, err := checkpoint.Open(filepath.Join(dir, "checkpoints", name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoints", "step-000002")); err == nil {
		t.Error("the first best checkpoint is still there")
	}
	if result.Verdict == nil || result.Verdict.Better != train.No {
		t.Errorf("verdict %v, want no: the loss rose from 1 to 2.3", result.Verdict)
	}
}

func TestAccuracyRanksHigherAndTheLossDecidesTies(t *testing.T) {
	o := bestOptions(t.TempDir())
	o.Best = "eval_accuracy"
	j := &judged{toy: newToy(t), metric: "eval_accuracy", values: []float64{0, 0.5, 0.9, 0.9, 0.7}}
	result, _ := runJudged(t, o, j, nil)
	if result.Best.Step != 4 || result.Best.Value != 0.9 || result.Early {
		t.Errorf("best %+v, want the first of 0.9", result.Best)
	}
}

func TestBestMustBeMeasured(t *testing.T) {
	o := bestOptions(t.TempDir())
	o.Best = "eval_f1"
	j := &judged{toy: newToy(t), metric: "eval_loss", values: []float64{1}}
	_, err := train.Run(context.Background(), o, j.backend, j, &points{Micros: 2}, j, &recorder{}, nil)
	if err == nil || !strings.Contains(err.Error(), `best is "eval_f1", which is not measured: eval_loss`) {
		t.Errorf("got %v", err)
	}
}

func TestAResumedRunHasTheSameBestAndVerdict(t *testing.T) {
	values := []float64{4, 3, 2.6, 2.7, 2, 2.5, 2.1, 1.9, 1.95, 1.92, 1.91}
	whole := t.TempDir()
	want, _ := runJudged(t, bestOptions(whole), &judged{toy: newToy(t), metric: "eval_loss", values: values}, nil)
	if want.Verdict == nil || want.Verdict.Better != train.Yes || want.Best.Step != 14 {
		t.Fatalf("verdict %v, best %+v", want.Verdict, want.Best)
	}
	for _, at := range []int{1, 4, 7, 14, 19} {
		part, stop := t.TempDir(), &train.Stop{}
		j := &judged{toy: newToy(t), metric: "eval_loss", values: values}
		j.onStep = func(step int) {
			if step == at {
				stop.Ask(train.Interrupt)
			}
		}
		runJudged(t, bestOptions(part), j, stop)
		again := &judged{toy: newToy(t), metric: "eval_loss", values: values, calls: j.calls}
		o := bestOptions(part)
		o.Resume = true
		got, _ := runJudged(t, o, again, nil)
		if *got.Best != *want.Best || *got.Verdict != *want.Verdict {
			t.Errorf("stopped at %d: best %+v, verdict %v, want %+v, %v", at, got.Best, got.Verdict, want.Best, want.Verdict)
		}
		for _, name := range []string{train.VerdictFile, train.MetricsFile, filepath.Join("checkpoints", "step-000020", train.StateFile)} {
			if readFile(t, part, name) != readFile(t, whole, name) {
				t.Errorf("stopped at %d: %s differs", at, name)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	losses := func(n int, base, spread float64) []train.Loss {
		l := make([]train.Loss, n)
		for i := range l {
			l[i] = train.Loss{Sum: 2 * (base + spread*math.Sin(3*float64(i))), Weight: 2}
		}
		return l
	}
	for _, c := range []struct {
		name       string
		start, end []train.Loss
		want       string
	}{
		{"lower throughout", losses(20, 2, 0.1), losses(20, 1, 0.2), train.Yes},
		{"higher throughout", losses(20, 1, 0.1), losses(20, 2, 0.2), train.No},
		{"noise", losses(20, 1, 0), losses(20, 1, 0.5), train.CannotTell},
		{"as it was", losses(20, 1, 0), losses(20, 1-1e-6, 1e-7), train.No},
		{"too few", losses(5, 2, 0.1), losses(5, 1, 0.1), train.CannotTell},
		{"none", nil, nil, train.CannotTell},
	} {
		v, err := train.Judge(7, c.start, c.end)
		if err != nil || v.Better != c.want || len(c.end) >= 8 && !(v.Low <= v.End-v.Start && v.End-v.Start <= v.High) {
			t.Errorf("%s: %+v, %v, want %s", c.name, v, err, c.want)
		}
		if !strings.HasPrefix(v.String(), "better than its start: "+c.want+" (eval_loss ") {
			t.Errorf("%s: %s", c.name, v)
		}
		// A loss that fell for sure, and is no better, is said to be as it was.
		if little := strings.Contains(v.String(), ", a change of less than a thousandth; "); little != (c.name == "as it was") {
			t.Errorf("%s: %s", c.name, v)
		}
	}
	if _, err := train.Judge(7, losses(3, 1, 1), losses(4, 1, 1)); err == nil {
		t.Error("different examples were compared")
	}
}

// Wilson's interval, computed by hand: 28 of 30 has p = 0.9333, z² = 3.8415,
// middle (0.9333 + 0.0640)/1.1280 = 0.8841 and half width 0.0973; no share
// leaves [0, 1].
func TestShare(t *testing.T) {
	for _, c := range []struct {
		right, of int
		low, high float64
	}{{28, 30, 0.7868, 0.9815}, {0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {1, 2, 0.0945, 0.9055}} {
		s := train.NewShare(c.right, c.of)
		if math.Abs(s.Low-c.low) > 1e-4 || math.Abs(s.High-c.high) > 1e-4 {
			t.Errorf("%d of %d: [%.4f, %.4f], want [%.4f, %.4f]", c.right, c.of, s.Low, s.High, c.low, c.high)
		}
	}
	if got := train.NewShare(28, 30).String(); got != "28 of 30 right, 93.3%, within [78.7%, 98.2%]" {
		t.Error(got)
	}
}
