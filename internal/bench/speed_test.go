package bench

import (
	"math"
	"testing"

	"align/internal/cost"
	"align/model"
)

// Times that are operations over known speeds give the speeds back, and times
// out of the question one speed for both.
func TestSpeedOf(t *testing.T) {
	at := func(layers, rest float64) *sample {
		s := &sample{layers: layers, rest: rest, threads: 1}
		s.times.wall = []float64{layers/4 + rest/2, layers/4 + rest/2 + 1}
		s.times.core = make([]float64, 2)
		return s
	}
	if got := speedOf(at(8, 6), at(20, 6), 100); math.Abs(got.layers-4) > 1e-9 || math.Abs(got.rest-2) > 1e-9 {
		t.Errorf("got %+v, want speeds 4 and 2", got)
	}
	disturbed := at(8, 6)
	disturbed.times.wall, disturbed.times.core = []float64{50}, make([]float64, 1)
	if got := speedOf(disturbed, at(20, 6), 100); got.layers != got.rest || got.layers != 26.0/8 {
		t.Errorf("got %+v, want one speed", got)
	}
}

// Pairs beyond the measured mix cost what attention alone does, its forward pass
// twice where it is recomputed.
func TestLongSequencesCountByAttention(t *testing.T) {
	x := cost.Of(model.Config{NumLayers: 1, NumHeads: 1, HeadDim: 1}, nil).Full() // attention alone
	v := Speed{layers: 12, rest: 1, mix: 10, attend: 4, attendBack: 8, again: 1}
	w := cost.Work{Tokens: 1, Pairs: 10}
	base := v.TrainSeconds(x, w)
	w.Pairs += 4
	if got := v.TrainSeconds(x, w) - base; math.Abs(got-4*(2+1)) > 1e-9 {
		t.Errorf("4 pairs more take %v, want 12", got)
	}
	w.Pairs -= 5
	if got := base - v.TrainSeconds(x, w); math.Abs(got-1) > 1e-9 {
		t.Errorf("a pair less takes %v less, want 1", got)
	}
}
