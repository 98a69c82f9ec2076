package ppo

import (
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/exec/exectest"
	"align/internal/fixture"
	"align/internal/graph"
	"align/internal/rollout"
	"align/internal/train"
	"align/model"

	"gonum.org/v1/gonum/diff/fd"
)

// answers are micro-batches of the loss of whole answers, and what it says of the
// policy's log-probabilities: the loss, and its gradient.
type answers struct {
	tokens
	logProbs exectest.Value
}

// twoAnswers are of two tokens and of three.
func twoAnswers() answers {
	return answers{
		tokens: tokens{
			logProbs: []float64{-1, -0.9, -1.9, -2.9, -1.3}, reference: []float64{-1.3, -0.2, -2, -2.2, -1.25},
			advantages: []float64{0.7, 0.7, -1.3, -1.3, -1.3}, lengths: []float64{2, 3},
		},
		logProbs: exectest.Value{-1.1, -0.6, -0.4, -3, -1.2},
	}
}

func (a *answers) loss(t *testing.T, b device.Backend, c Config) (float64, []float64) {
	g := exectest.New(device.F64, nil)
	n, s := graph.Size(len(a.logProbs)), graph.Size(len(a.lengths))
	in := func(name string, v []float64) *graph.Node { return g.In(name, graph.Vector(device.F64, n), v) }
	perAnswer := func(name string, v []float64) *graph.Node { return g.In(name, graph.Vector(device.F64, s), v) }
	trained := graph.Vector(device.F64, n)
	trained.Trained = true
	var sequence exectest.Value
	for i, length := range a.lengths {
		sequence = append(sequence, slices.Repeat([]float64{float64(i)}, int(length))...)
	}
	p := &policyProgram{
		logProb: g.In("logprob", trained, a.logProbs), oldLogProb: in("old", a.tokens.logProbs), advantage: in("advantage", a.advantages),
		referenceLogProb: in("reference", a.reference), klCoef: g.In("coefficient", graph.Vector(device.F64, graph.Size(1)), exectest.Value{0.5}),
	}
	at := g.In("sequence", graph.Vector(device.I32, n), sequence)
	p.answers = answerNodes{g.SegmentSum(p.logProb, at, s), perAnswer("old answer", a.sums(a.tokens.logProbs)), perAnswer("length", a.lengths), at}
	g.Out = g.Dot((&Trainer{Config: c}).tokenLoss(g.Builder, p), in("weights", a.weightsOf(c)))
	out := exectest.Run(t, b, g, append(graph.Nodes{g.Out}, g.Gradients(t, exectest.Value{1})...)...)
	return out[0][0], out[1]
}

// weightsOf are the tokens' in a step of these answers.
func (a *answers) weightsOf(c Config) (weights []float64) {
	step := 0.0
	for _, n := range a.lengths {
		step += c.weight(int(n))
	}
	for _, n := range a.lengths {
		weights = append(weights, slices.Repeat([]float64{c.tokenWeight(int(n), step)}, int(n))...)
	}
	return weights
}

func sequenceConfig(low, high float64, klIn string) Config {
	return Config{LossMean: MeanToken, ImportanceSamplingLevel: SequenceLevel, ClipRange: low, ClipRangeHigh: high, DualClip: 3, KLIn: klIn}
}

func sumConfig(low, high float64) Config {
	c := sequenceConfig(low, high, "ratio-loss")
	c.ImportanceSamplingLevel, c.DualClip = SequenceSumLevel, 0
	return c
}

// The loss and its gradient of _compute_loss of GRPOTrainer of TRL 1.16, called with
// these tensors in float64, the third place of the first answer masked:
// importance_sampling_level sequence, loss dapo, epsilon 0.2 and 0.28, delta 3, beta
// 0.5, use_bias_correction_kl false and true.
func TestLossOfSequencesIsTRLs(t *testing.T) {
	for _, tt := range []struct {
		klIn string
		loss float64
		grad []float64
	}{
		{"loss", 1.1104769662556275, []float64{-0.13659700383838883, -0.20390639829471768, 0.5084778785825679, 0.30611343753278664, 0.433544587931962}},
		{"ratio-loss", 1.1913459214621067, []float64{-0.12858144507813868, -0.20296983034455554, 0.6277768559089789, 0.2941342975168625, 0.50423274572977}},
	} {
		a := twoAnswers()
		loss, grad := a.loss(t, backend(t), sequenceConfig(0.2, 0.28, tt.klIn))
		near(t, tt.klIn, []float64{loss}, []float64{tt.loss})
		near(t, "gradient of "+tt.klIn, grad, tt.grad)
	}
}

// The loss and its gradient of _compute_loss of RLOOTrainer of TRL 1.16, called with
// these tensors in float64, the third place of the first answer masked: epsilon 0.2
// and 0.28. Its mean is over the two answers, ours over the five tokens unless
// loss_mean is sequence.
func TestLossOfWholeAnswersIsThatOfTRLsRLOO(t *testing.T) {
	a := twoAnswers()
	a.logProbs = exectest.Value{-1.1, -0.85, -1.8, -3, -1.2}
	c := sequenceConfig(0.2, 0.28, "reward")
	c.ImportanceSamplingLevel, c.DualClip = SequenceSumLevel, 0
	loss, grad := a.loss(t, backend(t), c)
	near(t, "loss", []float64{loss * 5 / 2}, []float64{0.38543079817392095})
	want := []float64{-0.33293029857524975, -0.33293029857524975, 0.7183610967491707, 0.7183610967491707, 0.7183610967491707}
	for i := range grad {
		grad[i] *= 5. / 2
	}
	near(t, "gradient", grad, want)
	c.LossMean = MeanSequence
	loss, grad = a.loss(t, backend(t), c)
	near(t, "mean over answers", []float64{loss}, []float64{0.38543079817392095})
	near(t, "gradient of the mean over answers", grad, want)
	first, second := math.Exp(-0.05), math.Exp(0.1)
	near(t, "ratios", a.ratios(a.logProbs, SequenceSumLevel), []float64{first, first, second, second, second})
}

// Inside the range, and outside it where the range counts and where it does not.
func TestGradientOfSequencesAgreesWithFiniteDifferences(t *testing.T) {
	b := backend(t)
	for _, c := range []Config{
		sumConfig(0.9, 6), sumConfig(0.05, 0.1), sequenceConfig(0.2, 0.28, "reward"), sequenceConfig(0.2, 0.28, "ratio-loss"), sequenceConfig(0.01, 0.02, "reward"), sequenceConfig(0.9, 2, "loss"),
	} {
		for _, sign := range []float64{1, -1} {
			a := twoAnswers()
			for i := range a.advantages {
				a.advantages[i] *= sign
			}
			_, grad := a.loss(t, b, c)
			want := fd.Gradient(nil, func(x []float64) float64 {
				moved := a
				moved.logProbs = x
				loss, _ := moved.loss(t, b, c)
				return loss
			}, a.logProbs, &fd.Settings{Formula: fd.Central})
			for i, w := range want {
				if !(math.Abs(grad[i]-w) <= differenceTolerance*max(1, math.Abs(w))) {
					t.Errorf("%s, range %v: gradient %d is %v, differences give %v", c.KLIn, c.clipRange(), i, grad[i], w)
				}
			}
		}
	}
}

// The log-ratios -0.1, 0.3 and 1.5, -0.1, 0.1 have the means 0.1 and 0.5: with a range
// of 0.2 the second answer's ratio is above it, which counts where its advantage is
// positive; of single tokens the second and the third are.
func TestMetricsOfSequencesAreOfTheirRatio(t *testing.T) {
	a := twoAnswers()
	ratios := a.ratios(a.logProbs, SequenceLevel)
	first, second := math.Exp(0.1), math.Exp(0.5)
	near(t, "ratios", ratios, []float64{first, first, second, second, second})
	near(t, "ratios of tokens", a.ratios(a.logProbs, TokenLevel), []float64{math.Exp(-0.1), math.Exp(0.3), math.Exp(1.5), math.Exp(-0.1), math.Exp(0.1)})
	up := []float64{1, 1, 1, 1, 1}
	if n := policyClips(ratios, up, clipRange{0.2, 0.2}); n != 3 {
		t.Errorf("%d tokens are clipped, want the 3 of the second answer", n)
	}
	if n := policyClips(a.ratios(a.logProbs, TokenLevel), up, clipRange{0.2, 0.2}); n != 2 {
		t.Errorf("%d tokens are clipped by their own ratio, want 2", n)
	}
}

// A policy that has run away leaves the loss finite.
func TestLossOfSequencesStaysFinite(t *testing.T) {
	a := twoAnswers()
	a.logProbs = exectest.Value{-1e4, -1e4, 0, 0, 0}
	a.tokens.logProbs = []float64{0, 0, -1e4, -1e4, -1e4}
	loss, grad := a.loss(t, backend(t), sequenceConfig(0.2, 0.2, "reward"))
	for _, x := range append(grad, loss) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Fatalf("loss %v, gradient %v", loss, grad)
		}
	}
}

// Behind a first step, where ratios are no longer 1, the gradient of a mini-batch of
// whole answers and its metrics are the same however it is cut.
func TestMicroBatchesOfSequencesDoNotShow(t *testing.T) {
	for _, level := range []string{SequenceLevel, SequenceSumLevel} {
		for _, mean := range []string{MeanToken, MeanSequence, MeanConstant} {
			t.Run(level+", "+mean, func(t *testing.T) { microBatchesDoNotShow(t, level, mean) })
		}
	}
}

func microBatchesDoNotShow(t *testing.T, level, mean string) {
	w := newWorld(t, fixture.Path(t, "data", "stories260K"), 4, false, rollout.Limits{Prompt: 8, Answer: 8, Sequences: 8})
	c := storyConfig(GRPO)
	c.ImportanceSamplingLevel, c.MaxNew, c.MiniBatches, c.Batch, c.ClipRange, c.LossMean = level, 6, 1, 16, 3e-4, mean
	x := w.trainer(t, c, storyPrompts(8), even{}, 2)
	work, err := x.Next()
	if err != nil {
		t.Fatal(err)
	}
	values := w.values(t)
	for i := range values {
		values[i] += 1e-2 * float32(i%7-3)
	}
	if err := model.WriteFloats(w.model.Backend(), w.subject.value, values); err != nil {
		t.Fatal(err)
	}
	x.position = 2 // the first step is behind
	episodes := slices.Concat(work.Micro...)
	wantLoss, wantGrad, wantMetrics := w.cut(t, x, episodes, work.Weight, len(episodes))
	for _, size := range []int{3, 1} {
		loss, grad, metrics := w.cut(t, x, episodes, work.Weight, size)
		if off := math.Abs(loss - wantLoss); off > microTolerance*max(1, math.Abs(wantLoss)) {
			t.Errorf("in parts of %d the loss is %v, at once %v", size, loss, wantLoss)
		}
		if d, norm := distance(grad, wantGrad); norm == 0 || d > microTolerance*norm {
			t.Errorf("in parts of %d the gradient is %v away of %v", size, d, norm)
		}
		for _, name := range []string{"val/ratio", "policy/clipfrac_avg", "loss/policy_avg"} {
			got, _ := metrics.Get(name)
			want, ok := wantMetrics.Get(name)
			if !ok || math.Abs(got-want) > microTolerance {
				t.Errorf("in parts of %d %s is %v, at once %v", size, name, got, want)
			}
		}
	}
	if clipped, _ := wantMetrics.Get("policy/clipfrac_avg"); clipped == 0 {
		t.Error("nothing is clipped: the range is not tried")
	}
}

// cut runs a mini-batch in parts of so many episodes.
func (w *world) cut(t *testing.T, x *Trainer, episodes []int, weight float64, size int) (loss float64, grad []float64, all train.Metrics) {
	t.Helper()
	if err := model.WriteFloats(w.model.Backend(), w.subject.grad, make([]float32, w.subject.grad.Len())); err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(episodes, size) {
		l, m, err := x.Micro(2, part, weight)
		if err != nil {
			t.Fatal(err)
		}
		loss += l
		all.Merge(m)
	}
	grad, err := model.ReadFloats(w.model.Backend(), nil, w.subject.grad)
	if err != nil {
		t.Fatal(err)
	}
	return loss, grad, all
}

// distance is that of two vectors, and the second one's length.
func distance(a, b []float64) (d, norm float64) {
	for i := range b {
		d, norm = d+(a[i]-b[i])*(a[i]-b[i]), norm+b[i]*b[i]
	}
	return math.Sqrt(d), math.Sqrt(norm)
}
