package dpo

import (
	"math"
	"testing"

	"align/internal/exec/exectest"
	"align/internal/graph"
)

func ktoFormula(p Params) exectest.Formula {
	return func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return kto(b, UnpairedInputs{Policy: in[0], Reference: in[1], Desirable: in[2], Baseline: in[3]}, p)
	}
}

// KTO by hand at β = 0.1, z = 2, λ_D = 1.5, λ_U = 0.5: a desirable answer with
// h = 12 has λ_D·(1-σ(1)) = 1.5·0.2689414214, an undesirable one with h = -8
// has λ_U·(1-σ(1)) = 0.5·0.2689414214, and one at the baseline has λ/2. The
// gradient of the first by its log-probability is -λβ·σ(1)·σ(-1) =
// -0.15·0.1966119332.
func TestKTOByHand(t *testing.T) {
	p := DefaultParams()
	p.DesirableWeight, p.UndesirableWeight = 1.5, 0.5
	loss, grads := exectest.Evaluate(t, backend(t), ktoFormula(p),
		exectest.Value{-20, -30, -10, -10}, exectest.Value{-32, -22, -12, -12}, exectest.Value{1, 0, 1, 0}, exectest.Value{2})
	near(t, "loss", loss, exectest.Value{1.5 * 0.2689414213699951, 0.5 * 0.2689414213699951, 0.75, 0.25}, valueTolerance)
	const slope = 0.1 * 0.19661193324148185
	near(t, "gradient", grads[0], exectest.Value{-1.5 * slope, 0.5 * slope, -1.5 * 0.025, 0.5 * 0.025}, valueTolerance)
	near(t, "baseline gradient", grads[3], exectest.Value{0}, 0)
}

func TestKTOGradientsAgreeWithFiniteDifferences(t *testing.T) {
	p := DefaultParams()
	p.DesirableWeight, p.UndesirableWeight = 1.5, 0.5
	zero := func(b *graph.Builder, in graph.Nodes) *graph.Node { // z has no gradient: fixed at 0.7
		z := b.Shift(b.Scale(b.Sum(in[0]), 0), 0.7)
		return kto(b, UnpairedInputs{Policy: in[0], Reference: in[1], Desirable: in[2], Baseline: z}, p)
	}
	exectest.CheckGradients(t, backend(t), differenceTolerance, zero,
		exectest.Value{-20, -30, -10}, exectest.Value{-25, -22, -12}, exectest.Value{1, 0, 1})
}

// APO-zero on single answers at β = 0.1: a desirable answer with h = 10 has
// λ_D·(1-σ(1)) = 1.5·0.2689414214, an undesirable one with h = -10 has
// λ_U·σ(-1) = 0.5·0.2689414214, and one as likely as before has λ/2. Each
// gradient is ∓λβ·σ(1)·σ(-1), at h = 0 a quarter of λβ.
func TestAPOZeroUnpairedByHand(t *testing.T) {
	p := DefaultParams()
	p.DesirableWeight, p.UndesirableWeight = 1.5, 0.5
	formula := func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return apoZeroUnpaired(b, UnpairedInputs{Policy: in[0], Reference: in[1], Desirable: in[2]}, p)
	}
	v := []exectest.Value{{-20, -30, -10, -10}, {-30, -20, -10, -10}, {1, 0, 1, 0}}
	loss, grads := exectest.Evaluate(t, backend(t), formula, v...)
	near(t, "loss", loss, exectest.Value{1.5 * 0.2689414213699951, 0.5 * 0.2689414213699951, 0.75, 0.25}, valueTolerance)
	const slope = 0.1 * 0.19661193324148185
	near(t, "gradient", grads[0], exectest.Value{-1.5 * slope, 0.5 * slope, -1.5 * 0.025, 0.5 * 0.025}, valueTolerance)
	exectest.CheckGradients(t, backend(t), differenceTolerance, formula, v...)
}

func TestKLBaseline(t *testing.T) {
	for _, c := range []struct {
		name              string
		policy, reference []float64
		want              float64
	}{
		{"mean", []float64{-1, -2}, []float64{-4, -3}, 2},
		{"never negative", []float64{-9}, []float64{-3}, 0},
		{"no answers", nil, nil, 0},
	} {
		if got := KLBaseline(c.policy, c.reference); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
