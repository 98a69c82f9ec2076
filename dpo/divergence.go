package dpo

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"align/internal/graph"
)

// Divergences of the policy from the reference, under TRL's names.
const (
	ReverseKL       = "reverse_kl"
	ForwardKL       = "forward_kl"
	JSDivergence    = "js_divergence"
	AlphaDivergence = "alpha_divergence"
)

// Divergences are all of them, that of DPO first.
func Divergences() []string {
	return []string{ReverseKL, ForwardKL, JSDivergence, AlphaDivergence}
}

// maxExponent keeps e^x finite in float32, as in TRL: beyond it nothing is learnt.
const maxExponent = 80

// nearOne is how close to 1 α gives the reverse KL, its limit.
const nearOne = 1e-6

// score is what stands in the place of an answer's log-ratio l = log π/ref, [P], where
// the reference is held to by another f-divergence: f'(e^l), theorem 1 and table 1 of
// https://arxiv.org/abs/2309.16240.
//
//	reverse_kl        l  (less a constant, which TRL leaves out)
//	forward_kl        1 - e^-l
//	js_divergence     log 2 + log σ(l)
//	alpha_divergence  (e^((α-1)l) - 1)/(α-1), and l where α is 1
func (p Params) score(b *graph.Builder, l *graph.Node) *graph.Node {
	exp := func(x *graph.Node) *graph.Node { return b.Exp(b.Clamp(x, math.Inf(-1), maxExponent)) }
	switch k := p.FAlphaDivergenceCoef - 1; {
	case p.FDivergenceType == ForwardKL:
		return b.Shift(b.Neg(exp(b.Neg(l))), 1)
	case p.FDivergenceType == JSDivergence:
		return b.Shift(b.Neg(b.Softplus(b.Neg(l))), math.Ln2)
	case p.FDivergenceType == AlphaDivergence && math.Abs(k) >= nearOne:
		return b.Scale(b.Shift(exp(b.Scale(l, k)), -1), 1/k)
	}
	return l
}

// The settings that losses of Δ read.
const (
	divergenceKey = "f_divergence_type"
	alphaKey      = "f_alpha_divergence_coef"
)

// checkDivergence holds the losses to ones that are defined for the divergence.
func (c Config) checkDivergence(w Weighted) error {
	if !slices.Contains(Divergences(), c.FDivergenceType) {
		return fmt.Errorf("%s must be one of %s, got %q", divergenceKey, strings.Join(Divergences(), ", "), c.FDivergenceType)
	}
	if a := c.FAlphaDivergenceCoef; !(a >= -maxAlpha && a <= maxAlpha) {
		return fmt.Errorf("%s must lie in [-%v, %v], got %v", alphaKey, maxAlpha, maxAlpha, a)
	}
	for _, t := range w {
		if c.FDivergenceType != ReverseKL && !t.Loss.ReferenceFree && !slices.Contains(t.Loss.reads, divergenceKey) {
			return fmt.Errorf("%s %s is not for the loss %s: it is of %s", divergenceKey, c.FDivergenceType, t.Loss.Name, strings.Join(readersOf(divergenceKey), ", "))
		}
	}
	return nil
}

// maxAlpha is far beyond the α that are of use, 0 to 1.
const maxAlpha = 10.0
