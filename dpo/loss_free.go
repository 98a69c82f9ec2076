package dpo

import (
	"math"

	"align/internal/graph"
)

// The losses without a reference model.

// maxAverageLogProb keeps the odds of an answer finite where the policy is
// certain of every token: float32 log-probabilities near 0 are multiples of
// 2^-24, about 6e-8.
const maxAverageLogProb = -5e-8

// averageLogProb is ā = log π(y|x)/|y|.
func averageLogProb(b *graph.Builder, logProb, length *graph.Node) *graph.Node {
	return b.Div(logProb, length)
}

// simpo is equation 6 of https://arxiv.org/abs/2405.14734, with label
// smoothing as in TRL.
//
//	L = -log σ( β·āw - β·āl - γ )
func simpo(b *graph.Builder, in Inputs, p Params) *graph.Node {
	chosen := averageLogProb(b, in.PolicyChosen, in.ChosenLength)
	rejected := averageLogProb(b, in.PolicyRejected, in.RejectedLength)
	m := b.Shift(b.Scale(b.Sub(chosen, rejected), p.Beta), -p.SimPOGamma)
	return smoothed(b, m, p.LabelSmoothing)
}

// cpo is the contrastive preference loss of https://arxiv.org/abs/2401.08417,
// with label smoothing as in TRL. The NLL is per sequence; TRL's is the mean
// over the tokens of the chosen answers in a micro-batch.
//
//	L = -log σ( β·( log π(yw) - log π(yl) ) ) + α·NLL
func cpo(b *graph.Builder, in Inputs, p Params) *graph.Node {
	m := b.Scale(b.Sub(in.PolicyChosen, in.PolicyRejected), p.Beta)
	return b.Add(smoothed(b, m, p.LabelSmoothing), b.Scale(nll(b, in), p.CPOAlpha))
}

// orpo is equations 6 and 7 of https://arxiv.org/abs/2403.07691 (its λ is our
// β), where odds(y) = e^ā/(1-e^ā); TRL's NLL is of the prompt's tokens too:
//
//	L = NLL - β·log σ( log odds(yw) - log odds(yl) )
func orpo(b *graph.Builder, in Inputs, p Params) *graph.Node {
	chosen := logOdds(b, averageLogProb(b, in.PolicyChosen, in.ChosenLength))
	rejected := logOdds(b, averageLogProb(b, in.PolicyRejected, in.RejectedLength))
	oddsRatio := b.Softplus(b.Neg(b.Sub(chosen, rejected)))
	return b.Add(nll(b, in), b.Scale(oddsRatio, p.Beta))
}

// logOdds is log p/(1-p) for p = e^a, a < 0. It uses 1-e^a =
// tanh(-a/2)·(1+e^a), which loses no digits as a approaches 0:
//
//	log odds = a - log(1-e^a) = a - log tanh(-a/2) - softplus(a)
func logOdds(b *graph.Builder, a *graph.Node) *graph.Node {
	a = b.Clamp(a, math.Inf(-1), maxAverageLogProb)
	return b.Sub(b.Sub(a, b.Log(b.Tanh(b.Scale(a, -0.5)))), b.Softplus(a))
}

// supervised is the NLL alone: imitation of the chosen answers, for sums such
// as sigmoid:1,sft:0.2.
func supervised(b *graph.Builder, in Inputs, _ Params) *graph.Node { return nll(b, in) }
