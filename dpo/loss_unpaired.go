package dpo

import "align/internal/graph"

// UnpairedInputs are what the losses of single labelled answers are written
// in: float64 vectors of length S, one element per answer.
type UnpairedInputs struct {
	Policy, Reference *graph.Node // log π(y|x) and log ref(y|x)
	Desirable         *graph.Node // 1 where the answer is wanted, 0 where not
	// Baseline is z, one element: see KLBaseline.
	Baseline *graph.Node
}

// unpairedFunc is a loss of single answers: one value per answer, shape [S].
type unpairedFunc func(b *graph.Builder, in UnpairedInputs, p Params) *graph.Node

// kto is equation 7 of https://arxiv.org/abs/2402.01306, with s = +1 for a
// desirable answer and -1 for an undesirable one, h = log π(y|x)/ref(y|x), and
// λ the weight of its kind:
//
//	L = λ·( 1 - σ( s·β·(h - z) ) )
//
// The constant λ - v of the paper's value v is the same thing.
func kto(b *graph.Builder, in UnpairedInputs, p Params) *graph.Node {
	return dislike(b, b.Sub(b.Sub(in.Policy, in.Reference), b.Constant(in.Baseline)), in.Desirable, p)
}

// apoZeroUnpaired is equation 7 of https://arxiv.org/abs/2408.06266 with its two
// sides apart, as in TRL: KTO with z = 0. A desirable answer gains likelihood,
// an undesirable one loses it, whatever the policy's divergence is.
//
//	L = λ·( 1 - σ( s·β·h ) )
func apoZeroUnpaired(b *graph.Builder, in UnpairedInputs, p Params) *graph.Node {
	return dislike(b, b.Sub(in.Policy, in.Reference), in.Desirable, p)
}

// dislike is λ·(1 - σ(s·β·gain)).
func dislike(b *graph.Builder, gain, desirable *graph.Node, p Params) *graph.Node {
	sign := b.Shift(b.Scale(desirable, 2), -1)
	weight := b.Shift(b.Scale(desirable, p.DesirableWeight-p.UndesirableWeight), p.UndesirableWeight)
	return b.Mul(weight, b.Sigmoid(b.Scale(b.Mul(sign, gain), -p.Beta)))
}

// KLBaseline is KTO's z = max(0, mean over i of log π(y'_i|x_i)/ref(y'_i|x_i)):
// an estimate of the KL from answers y' to other prompts than their own. It has
// no gradient and no β; it is 0 where there are no answers.
func KLBaseline(policy, reference []float64) float64 {
	sum := 0.0
	for i := range policy {
		sum += policy[i] - reference[i]
	}
	return max(0, sum/float64(max(len(policy), 1)))
}
