package rollout

import (
	"math"
	"slices"
	"testing"
)

var testLogits = []float32{1, 3, 2, -1, 3}

func TestGreedyTakesTheLowestOfTheLargest(t *testing.T) {
	s := sampler{Sampling: Sampling{TopP: 1, RepetitionPenalty: 1}}
	id, logProb := s.draw(append([]float32{}, testLogits...), nil, 0.99)
	sum := math.Exp(1) + 2*math.Exp(3) + math.Exp(2) + math.Exp(-1)
	if want := 3 - math.Log(sum); id != 1 || math.Abs(logProb-want) > 1e-12 {
		t.Errorf("drew %d with %v, want 1 with %v", id, logProb, want)
	}
}

// A logit that is no number, and an infinite one, leave no distribution to draw from.
func TestNaNIsNotDrawnFrom(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, logits := range [][]float32{{nan, 1}, {1, nan}, {nan, nan}, {1, inf}, {-inf, -inf}} {
		for _, s := range noneToDraw {
			d := sampler{Sampling: s}
			if id, logProb := d.draw(slices.Clone(logits), nil, 0.5); id < 0 || id > 1 || !math.IsNaN(logProb) {
				t.Errorf("%+v of %v: drew %d with %v, want NaN", s, logits, id, logProb)
			}
		}
	}
}

// noneToDraw are ways to draw, each of which goes through code of its own.
var noneToDraw = []Sampling{
	{TopP: 1, RepetitionPenalty: 1}, {Temperature: 1, TopP: 1, RepetitionPenalty: 1}, {Temperature: 1, TopK: 1, TopP: 1, RepetitionPenalty: 1},
	{Temperature: 0.5, TopP: 0.9, MinP: 0.1, RepetitionPenalty: 1},
}

// counts draws n tokens at even uniforms.
func counts(s Sampling, n int) []int {
	d := sampler{Sampling: s}
	got := make([]int, len(testLogits))
	for i := range n {
		id, _ := d.draw(append([]float32{}, testLogits...), nil, (float64(i)+0.5)/float64(n))
		got[id]++
	}
	return got
}

func TestFrequenciesAreTheProbabilities(t *testing.T) {
	const n = 100000
	for _, temperature := range []float64{1, 0.5, 2} {
		got := counts(Sampling{Temperature: temperature, TopP: 1, RepetitionPenalty: 1}, n)
		sum := 0.0
		for _, z := range testLogits {
			sum += math.Exp(float64(z) / temperature)
		}
		for i, z := range testLogits {
			// Even uniforms hit each share to within one draw at either end.
			if want := n * math.Exp(float64(z)/temperature) / sum; math.Abs(float64(got[i])-want) > 2 {
				t.Errorf("temperature %v: token %d came %d times, want %.1f", temperature, i, got[i], want)
			}
		}
	}
}

func TestCutsKeepWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Sampling
		kept []bool
	}{
		{"top 1", Sampling{TopK: 1, TopP: 1}, []bool{false, true, false, false, false}},
		{"top 3", Sampling{TopK: 3, TopP: 1}, []bool{false, true, true, false, true}},
		// Probabilities: .05, .40, .15, .01, .40: the first two reach 0.75.
		{"nucleus", Sampling{TopP: 0.75}, []bool{false, true, false, false, true}},
		{"min-p", Sampling{TopP: 1, MinP: 0.3}, []bool{false, true, true, false, true}},
	} {
		c.s.Temperature, c.s.RepetitionPenalty = 1, 1
		for i, n := range counts(c.s, 1000) {
			if (n > 0) != c.kept[i] {
				t.Errorf("%s: token %d came %d times, kept %v", c.name, i, n, c.kept[i])
			}
		}
	}
}

func TestThePenaltyLowersWhatOccurred(t *testing.T) {
	logits := []float32{2, -2, 2}
	penalise(logits, []int32{0, 1, 0}, 2)
	if logits[0] != 1 || logits[1] != -4 || logits[2] != 2 {
		t.Errorf("logits are %v, want [1 -4 2]", logits)
	}
}

func TestDrawsAreEven(t *testing.T) {
	const n, bins = 100000, 10
	got := make([]int, bins)
	for i := range n {
		u := uniform(SampleKey(1, uint64(i%7), i%3), i)
		if u < 0 || u >= 1 {
			t.Fatalf("draw %v", u)
		}
		got[int(u*bins)]++
	}
	chi := 0.0
	for _, k := range got {
		d := float64(k) - n/bins
		chi += d * d / (n / bins)
	}
	// 9 degrees of freedom: 27.9 is exceeded once in a thousand.
	if chi > 27.9 {
		t.Errorf("chi-square is %.1f over %v", chi, got)
	}
}

// expTolerance is relative, a thousandth of a float32 logit's own error.
const expTolerance = 1e-11

func TestWeightsAreExponentials(t *testing.T) {
	logits := []float32{3, 2.999, 0, -1e-6, -5, -80, -600, -800, -1e30, float32(math.Inf(-1))}
	weights := make([]float64, len(logits))
	for _, temperature := range []float64{1, 0.3, 2} {
		sum := 0.0
		got := expSum(weights, logits, 3, 1/temperature)
		for i, z := range logits {
			want := math.Exp((float64(z) - 3) / temperature)
			if math.Abs(weights[i]-want) > expTolerance*want+1e-300 {
				t.Errorf("temperature %v: weight of %v is %v, want %v", temperature, z, weights[i], want)
			}
			sum += weights[i]
		}
		if got != sum || weights[len(weights)-1] != 0 {
			t.Errorf("temperature %v: the sum is %v, want %v", temperature, got, sum)
		}
	}
}

// Cumulative weights cross blocks without a gap, and rounding ends on the last
// token that has any weight.
func TestInversionCrossesBlocks(t *testing.T) {
	s := sampler{Sampling: Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1}}
	logits := make([]float32, 3*block+7)
	logits[len(logits)-1] = float32(math.Inf(-1))
	n := len(logits) - 1
	for i := range n {
		if id, _ := s.draw(logits, nil, (float64(i)+0.5)/float64(n)); id != int32(i) {
			t.Fatalf("share %d of %d drew %d", i, n, id)
		}
	}
	if id := s.invert(float64(n) + 1); id != int32(n-1) {
		t.Errorf("beyond the end: %d, want %d", id, n-1)
	}
}

func BenchmarkDraw(b *testing.B) {
	logits := make([]float32, 32000)
	for i := range logits {
		logits[i] = float32(math.Sin(float64(i)))
	}
	s := sampler{Sampling: Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1}}
	for i := 0; b.Loop(); i++ {
		s.draw(logits, nil, uniform(1, i))
	}
}
