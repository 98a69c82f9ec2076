package dpo

import (
	"math"

	"align/internal/graph"
)

// The losses of one margin per pair, Δ = c - r, where c and r are the
// log-ratios log π/ref of the chosen and the rejected answer.

// chosenLogRatio is c = log π(yw|x)/ref(yw|x).
func chosenLogRatio(b *graph.Builder, in Inputs) *graph.Node {
	return b.Sub(in.PolicyChosen, in.ReferenceChosen)
}

// rejectedLogRatio is r = log π(yl|x)/ref(yl|x).
func rejectedLogRatio(b *graph.Builder, in Inputs) *graph.Node {
	return b.Sub(in.PolicyRejected, in.ReferenceRejected)
}

// averageMargin is c/|yw| - r/|yl|: log-ratios, or the scores of another divergence,
// per token.
func averageMargin(b *graph.Builder, in Inputs, p Params) *graph.Node {
	chosen := b.Div(p.score(b, chosenLogRatio(b, in)), in.ChosenLength)
	rejected := b.Div(p.score(b, rejectedLogRatio(b, in)), in.RejectedLength)
	return b.Sub(chosen, rejected)
}

// robust is the robust DPO loss of https://arxiv.org/abs/2403.00409: unbiased
// when a share ε < 1/2 of the labels is flipped at random.
//
//	L = ( -(1-ε)·log σ(βΔ) + ε·log σ(-βΔ) ) / (1-2ε)
func robust(b *graph.Builder, in Inputs, p Params) *graph.Node {
	m, epsilon := margin(b, in, p), p.LabelSmoothing
	right, wrong := b.Softplus(b.Neg(m)), b.Softplus(m)
	return b.Scale(b.Sub(b.Scale(right, 1-epsilon), b.Scale(wrong, epsilon)), 1/(1-2*epsilon))
}

// hinge is the loss of SLiC-HF (https://arxiv.org/abs/2305.10425) on DPO's
// margin, as in TRL; the paper has a margin δ where this has 1.
//
//	L = max(0, 1 - βΔ)
func hinge(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return b.Relu(b.Shift(b.Neg(margin(b, in, p)), 1))
}

// ipo is equation 17 of https://arxiv.org/abs/2310.12036 (its τ is our β), on
// log-ratios per token as in TRL: the paper has sums, see ipoSum.
//
//	L = ( c/|yw| - r/|yl| - 1/(2β) )²
func ipo(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return b.Square(b.Shift(averageMargin(b, in, p), -1/(2*p.Beta)))
}

// ipoSum is equation 17 of https://arxiv.org/abs/2310.12036 as it stands, and
// as OpenRLHF has it.
//
//	L = ( Δ - 1/(2β) )²
func ipoSum(b *graph.Builder, in Inputs, p Params) *graph.Node {
	delta := b.Sub(p.score(b, chosenLogRatio(b, in)), p.score(b, rejectedLogRatio(b, in)))
	return b.Square(b.Shift(delta, -1/(2*p.Beta)))
}

// sigmoidNorm is the length-normalised DPO of Tülu 3
// (https://arxiv.org/abs/2411.15124). β is larger than for sums: the paper's is 5.
//
//	L = -log σ( β·( c/|yw| - r/|yl| ) )
func sigmoidNorm(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return b.Softplus(b.Neg(b.Scale(averageMargin(b, in, p), p.Beta)))
}

// exoPair is equation 16 of https://arxiv.org/abs/2402.00856 for pairs: the
// reverse KL of (σ(βΔ), σ(-βΔ)) to the smoothed labels (1-ε, ε), ε > 0.
//
//	L = σ(βΔ)·(log σ(βΔ) - log(1-ε)) + σ(-βΔ)·(log σ(-βΔ) - log ε)
func exoPair(b *graph.Builder, in Inputs, p Params) *graph.Node {
	m, epsilon := margin(b, in, p), p.LabelSmoothing
	divergence := func(x *graph.Node, label float64) *graph.Node {
		logSigmoid := b.Neg(b.Softplus(b.Neg(x)))
		return b.Mul(b.Sigmoid(x), b.Shift(logSigmoid, -math.Log(label)))
	}
	return b.Add(divergence(m, 1-epsilon), divergence(b.Neg(m), epsilon))
}

// discopop is the log-ratio modulated loss, equation 5 of
// https://arxiv.org/abs/2406.08414, with w = σ(βΔ/τ):
//
//	L = (1-w)·(-log σ(βΔ)) + w·exp(-βΔ)
//
// w·exp(-x) is computed as exp(log σ(x/τ) - x), which does not overflow for τ ≤ 1.
// At Δ = 0 its slope is (1 - ln 2)/(4τ) - 3/4, above 0 for τ below 0.102: a pair whose
// βΔ is not yet beyond 0.07 is pulled to a minimum at βΔ = -0.12 (τ = 0.05).
func discopop(b *graph.Builder, in Inputs, p Params) *graph.Node {
	m := margin(b, in, p)
	scaled := b.Scale(m, 1/p.DiscoPOPTau)
	logistic := b.Mul(b.Sigmoid(b.Neg(scaled)), b.Softplus(b.Neg(m)))
	exponential := b.Exp(b.Sub(b.Neg(b.Softplus(b.Neg(scaled))), m))
	return b.Add(logistic, exponential)
}
