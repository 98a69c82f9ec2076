package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"align/internal/atomicfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Files of a run that its verdict is made from and stored in.
const (
	VerdictFile = "verdict.json"
	startFile   = "start.json"
)

// Comparer is an Evaluator that leaves each held-out example's loss of the last
// evaluation, in a fixed order: their sums over their weights are eval_loss.
type Comparer interface {
	Evaluator
	HeldLosses() []Loss
}

// Loss is what one example adds to a mean loss: Sum over Weight things.
type Loss struct {
	Sum    float64 `json:"sum"`
	Weight float64 `json:"weight"`
}

// Answers of a verdict.
const (
	Yes        = "yes"
	No         = "no"
	CannotTell = "cannot tell"
)

// Verdict says whether a run ended better than it began, on held-out examples.
type Verdict struct {
	Better   string `json:"better"` // Yes, No or CannotTell
	Step     int    `json:"step"`
	Examples int    `json:"examples"`
	// Start and End are eval_loss before the first and after the last step.
	Start float64 `json:"start"`
	End   float64 `json:"end"`
	// Low and High bound End - Start with 95% confidence: the percentile
	// bootstrap over the examples' paired differences (Efron, Tibshirani: An
	// Introduction to the Bootstrap, section 13.3). Both are 0 where the
	// examples are fewer than fewestExamples.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Accuracy is the share of held-out examples that the end has right; nil
	// where the method counts none.
	Accuracy *Share `json:"accuracy,omitempty"`
}

// Share is a share of a count, within [Low, High] with 95% confidence: the score
// interval of Wilson, equation 4 of Brown, Cai, DasGupta, "Interval estimation
// for a binomial proportion", Statistical Science 16 (2001).
type Share struct {
	Right int     `json:"right"`
	Of    int     `json:"of"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// NewShare is right of n, n above 0, with its interval.
func NewShare(right, n int) Share {
	const z = 1.959963984540054 // the normal distribution's quantile at 97.5%
	p, m := float64(right)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Share{right, n, max(0, middle-half), min(1, middle+half)}
}

// String is "28 of 30 right, 93.3%, within [78.7%, 98.2%]".
func (s Share) String() string {
	return fmt.Sprintf("%d of %d right, %.1f%%, within [%.1f%%, %.1f%%]", s.Right, s.Of, 100*float64(s.Right)/float64(s.Of), 100*s.Low, 100*s.High)
}

// accuracyMetric counts one for each held-out example that is right.
const accuracyMetric = "eval_rewards/accuracies"

// accuracyOf is the share that an evaluation has right, or nil.
func accuracyOf(m Metrics) *Share {
	i := slices.IndexFunc(m, func(x Metric) bool { return x.Name == accuracyMetric })
	if i < 0 || m[i].Weight < 1 {
		return nil
	}
	s := NewShare(int(math.Round(m[i].Sum)), int(math.Round(m[i].Weight)))
	return &s
}

// The bootstrap: below fewestExamples a resample hardly differs from the
// sample, so that its interval would promise too much.
const (
	fewestExamples = 8
	resamples      = 2000
	bootstrapSeed  = 1
	// A change of the loss below this share of it is none that a user would
	// call better, however sure it is; Verdict.String says it in words.
	smallestChange = 1e-3
)

// Judge compares the same examples' losses before and after. It answers Yes
// where the loss fell and the interval lies below 0, No where the interval lies
// above 0 or the loss is as it was.
func Judge(step int, start, end []Loss) (Verdict, error) {
	if len(start) != len(end) {
		return Verdict{}, fmt.Errorf("train: %d held-out examples at the start, %d at the end", len(start), len(end))
	}
	v := Verdict{Better: CannotTell, Step: step, Examples: len(end), Start: meanOf(start), End: meanOf(end)}
	if len(end) < fewestExamples {
		return v, nil
	}
	difference := make([]Loss, len(end))
	for i := range end {
		difference[i] = Loss{Sum: end[i].Sum - start[i].Sum, Weight: end[i].Weight}
	}
	v.Low, v.High = interval(difference)
	change, least := v.End-v.Start, smallestChange*math.Abs(v.Start)
	same := v.Low > -least && v.High < least
	switch {
	case v.High < 0 && change < -least:
		v.Better = Yes
	case v.Low > 0 || same:
		v.Better = No
	}
	return v, nil
}

func meanOf(losses []Loss) float64 {
	var sum, weight float64
	for _, l := range losses {
		sum, weight = sum+l.Sum, weight+l.Weight
	}
	if weight == 0 {
		return 0
	}
	return sum / weight
}

// interval holds the mean with 95% confidence; the same losses give the same
// bits.
func interval(losses []Loss) (low, high float64) {
	random := rand.New(rand.NewPCG(bootstrapSeed, uint64(len(losses))))
	means, sample := make([]float64, resamples), make([]Loss, len(losses))
	for r := range means {
		for i := range sample {
			sample[i] = losses[random.IntN(len(losses))]
		}
		means[r] = meanOf(sample)
	}
	slices.Sort(means)
	tail := int(math.Round(0.025 * resamples))
	return means[tail], means[resamples-1-tail]
}

// String is the verdict in one line.
func (v Verdict) String() string {
	tail := ""
	if v.Accuracy != nil {
		tail = "; " + v.Accuracy.String()
	}
	head := fmt.Sprintf("better than its start: %s (eval_loss %.4g, was %.4g", v.Better, v.End, v.Start)
	if v.Examples < fewestExamples {
		return head + fmt.Sprintf("; %d held-out examples are too few, %d are the least)", v.Examples, fewestExamples) + tail
	}
	if v.Better == No && v.Low <= 0 {
		head += ", a change of less than a thousandth"
	}
	return head + fmt.Sprintf("; the difference lies in [%.3g, %.3g] with 95%% confidence, by bootstrap over %d held-out examples)", v.Low, v.High, v.Examples) + tail
}

// ReadVerdict reads a run's verdict; ok is false where it has none.
func ReadVerdict(run string) (v Verdict, ok bool, err error) {
	ok, err = readJSON(filepath.Join(run, VerdictFile), &v)
	return v, ok, err
}

func readJSON(path string, v any) (ok bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("train: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("train: %s: %w", path, err)
	}
	return true, nil
}

func writeJSON(path string, v any, options ...json.Options) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		return json.MarshalWrite(w, v, append(options, json.Deterministic(true))...)
	})
}

// keepStart stores the examples' losses before the first step, for a resumed
// run's verdict.
func (l *loop[B]) keepStart() error {
	c, ok := l.method.(Comparer)
	if !ok || !allFinite(c.HeldLosses()) {
		return nil
	}
	return writeJSON(filepath.Join(l.options.Run, startFile), c.HeldLosses())
}

// judge stores the verdict of a run that is done; nil where nothing can be
// compared. A run that was cut off before it evaluates once more.
func (l *loop[B]) judge(ctx context.Context) (_ *Verdict, err error) {
	c, ok := l.method.(Comparer)
	if !ok {
		return nil, nil
	}
	if v, ok, err := ReadVerdict(l.options.Run); err != nil || ok && v.Step == l.step {
		return &v, err
	}
	var start []Loss
	if ok, err := readJSON(filepath.Join(l.options.Run, startFile), &start); err != nil || !ok {
		return nil, err
	}
	if l.final == nil {
		if l.final, err = c.Evaluate(ctx); err != nil {
			return nil, err
		}
	}
	if !allFinite(c.HeldLosses()) {
		l.note("no verdict: a held-out example's loss is not finite")
		return nil, nil
	}
	v, err := Judge(l.step, start, c.HeldLosses())
	if err != nil {
		return nil, err
	}
	v.Accuracy = accuracyOf(l.final)
	return &v, writeJSON(filepath.Join(l.options.Run, VerdictFile), v, jsontext.WithIndent("  "))
}

func allFinite(losses []Loss) bool {
	return !slices.ContainsFunc(losses, func(l Loss) bool { return !finite(l.Sum) })
}
