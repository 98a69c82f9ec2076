package dpo

import "align/internal/graph"

// Inputs are what the losses of pairs are written in: float64 vectors of
// length P, one element per pair. log π(y|x) is the sum of the
// log-probabilities of an answer's tokens under the loss mask.
type Inputs struct {
	PolicyChosen, PolicyRejected       *graph.Node // log π(yw|x), log π(yl|x)
	ReferenceChosen, ReferenceRejected *graph.Node // the same of the frozen model; nil for reference-free losses
	ChosenLength, RejectedLength       *graph.Node // |yw|, |yl|: tokens counted in the sums
	// LikelihoodChosen and LikelihoodLength are the chosen answers' sums and
	// counts for the NLL where its mask keeps tokens that the contrast leaves
	// out (the end of turn, say); nil means PolicyChosen and ChosenLength.
	LikelihoodChosen, LikelihoodLength *graph.Node
}

// lossFunc is a loss of pairs: one value per pair, shape [P].
type lossFunc func(b *graph.Builder, in Inputs, p Params) *graph.Node

// sigmoid is the DPO loss, equation 7 of https://arxiv.org/abs/2305.18290:
//
//	L = -log σ( β·( log π(yw)/ref(yw) - log π(yl)/ref(yl) ) )
//
// of each pair, [P]. With label smoothing ε > 0 it is its authors' conservative
// DPO, equation 3 of https://ericmitchell.ai/cdpo.pdf, which takes a share ε of
// the labels to be the wrong way round: see smoothed.
func sigmoid(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return smoothed(b, margin(b, in, p), p.LabelSmoothing)
}

// margin is βΔ: the difference of the implicit rewards of the two answers, or of what
// another divergence puts in their place.
func margin(b *graph.Builder, in Inputs, p Params) *graph.Node {
	switch p.FDivergenceType {
	case ForwardKL, JSDivergence, AlphaDivergence:
		return b.Scale(b.Sub(p.score(b, chosenLogRatio(b, in)), p.score(b, rejectedLogRatio(b, in))), p.Beta)
	}
	return rewardMargin(b, in, p)
}

// rewardMargin is the difference of the implicit rewards.
func rewardMargin(b *graph.Builder, in Inputs, p Params) *graph.Node {
	policyLogRatio := b.Sub(in.PolicyChosen, in.PolicyRejected)
	referenceLogRatio := b.Sub(in.ReferenceChosen, in.ReferenceRejected)
	return b.Scale(b.Sub(policyLogRatio, referenceLogRatio), p.Beta)
}

// smoothed is -(1-ε)·log σ(x) - ε·log σ(-x). It uses -log σ(x) = softplus(-x),
// which does not overflow.
func smoothed(b *graph.Builder, x *graph.Node, epsilon float64) *graph.Node {
	right := b.Softplus(b.Neg(x))
	if epsilon == 0 {
		return right
	}
	return b.Add(b.Scale(right, 1-epsilon), b.Scale(b.Softplus(x), epsilon))
}

// nll is the chosen answer's negative log-likelihood per token, [P]: the second
// term of section 4.1.4 of https://arxiv.org/abs/2407.21783 and of equation 1
// of https://arxiv.org/abs/2404.19733.
//
//	NLL = -log π(yw|x) / |yw|
//
// TRL's sft term is another: the mean over the tokens of a micro-batch.
func nll(b *graph.Builder, in Inputs) *graph.Node {
	logProb, length := in.LikelihoodChosen, in.LikelihoodLength
	if logProb == nil {
		logProb, length = in.PolicyChosen, in.ChosenLength
	}
	return b.Neg(b.Div(logProb, length))
}
