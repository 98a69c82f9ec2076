package model_test

import (
	"fmt"
	"slices"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/exec"
	"align/model"
)

// noisy are the log-probabilities of a training step with noise.
func (g *golden) noisy(t *testing.T, p *datasets.Pack, alpha float64, save exec.SavePolicy, step int) []float64 {
	t.Helper()
	d, err := model.NewDecoder(g.model.Config, g.act, model.DecoderOptions{
		Capacity: model.SizeOf(p, 1).Rounded(), Adapter: g.adapter, Train: true, Save: save, Noise: alpha, Device: g.backend,
	})
	if err != nil {
		t.Fatal(err)
	}
	loss := d.Sum(d.SequenceLogProbs)
	s, err := d.Compile(g.model, loss, d.Prediction.LogProb)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(p, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Loss(loss, 3, step); err != nil {
		t.Fatal(err)
	}
	out, err := s.Float64s(nil, d.Prediction.LogProb)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wholeExample is an example of all targets, with its content's key.
func wholeExample(p *datasets.Pack, ids []int32) {
	e := datasets.Example{IDs: ids, LossMask: slices.Repeat([]bool{true}, len(ids))}
	p.AddExample(e, datasets.DropoutKey(e.Hash()))
}

// An example's noise has the same bits alone and anywhere in a pack, with any
// number of threads and under any policy; another step has other noise.
func TestNoiseDoesNotDependOnThePlace(t *testing.T) {
	notUnderRaces(t)
	for _, act := range []device.Type{device.F32, device.F64} {
		g := shapes["everything"].open(t, act, 1, 0.1)
		subject := words(1, 70)
		alone := &datasets.Pack{}
		wholeExample(alone, subject)
		want := g.noisy(t, alone, 5, exec.SaveAll, 1)
		packed := &datasets.Pack{}
		wholeExample(packed, words(2, 77))
		from := len(packed.Rows)
		wholeExample(packed, subject)
		wholeExample(packed, words(3, 20))
		for _, threads := range []int{1, 2} {
			for _, save := range exec.SavePolicies {
				g := shapes["everything"].open(t, act, threads, 0.1)
				sameBits(t, fmt.Sprintf("%v, %d threads, policy %s", act, threads, save), g.noisy(t, packed, 5, save, 1)[from:][:len(want)], want)
			}
		}
		if slices.Equal(g.noisy(t, alone, 5, exec.SaveAll, 2), want) {
			t.Errorf("%v: the next step has the same noise", act)
		}
		if slices.Equal(g.noisy(t, alone, 0, exec.SaveAll, 1), want) {
			t.Errorf("%v: noise changes nothing", act)
		}
	}
}
