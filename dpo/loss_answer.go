package dpo

import "align/internal/graph"

// The losses that judge each answer of a pair by itself: its implicit reward
// βc or βr has a target of its own, not only their difference.

// chosenReward is βc.
func chosenReward(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return b.Scale(chosenLogRatio(b, in), p.Beta)
}

// rejectedReward is βr.
func rejectedReward(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return b.Scale(rejectedLogRatio(b, in), p.Beta)
}

// ncaPair is the noise contrastive loss of https://arxiv.org/abs/2402.05369
// for pairs, which holds the chosen answer's likelihood up.
//
//	L = -log σ(βc) - ½·log σ(-βc) - ½·log σ(-βr)
func ncaPair(b *graph.Builder, in Inputs, p Params) *graph.Node {
	chosen, rejected := chosenReward(b, in, p), rejectedReward(b, in, p)
	noise := b.Add(b.Softplus(chosen), b.Softplus(rejected))
	return b.Add(b.Softplus(b.Neg(chosen)), b.Scale(noise, 0.5))
}

// bcoPair is the binary classifier loss of https://arxiv.org/abs/2404.04656 on
// pairs. The paper's reward shift δ (a running mean of rewards) is 0 here, as
// in TRL since 1.10.
//
//	L = -log σ(βc) - log σ(-βr)
func bcoPair(b *graph.Builder, in Inputs, p Params) *graph.Node {
	chosen, rejected := chosenReward(b, in, p), rejectedReward(b, in, p)
	return b.Add(b.Softplus(b.Neg(chosen)), b.Softplus(rejected))
}

// sppoHard is equation 4.7 of https://arxiv.org/abs/2405.00675 with the hard
// win probabilities 1 and 0 in place of estimated ones, and 1/(2β) for η/2.
//
//	L = ( c - 1/(2β) )² + ( r + 1/(2β) )²
func sppoHard(b *graph.Builder, in Inputs, p Params) *graph.Node {
	target := 1 / (2 * p.Beta)
	chosen := b.Square(b.Shift(chosenLogRatio(b, in), -target))
	rejected := b.Square(b.Shift(rejectedLogRatio(b, in), target))
	return b.Add(chosen, rejected)
}

// apoZero is equation 7 of https://arxiv.org/abs/2408.06266, for chosen
// answers that are better than the model's own: they gain likelihood, rejected
// ones lose it.
//
//	L = 1 - σ(βc) + σ(βr)
func apoZero(b *graph.Builder, in Inputs, p Params) *graph.Node {
	chosen, rejected := chosenReward(b, in, p), rejectedReward(b, in, p)
	return b.Add(b.Sigmoid(b.Neg(chosen)), b.Sigmoid(rejected))
}

// apoDown is equation 8 of https://arxiv.org/abs/2408.06266, for chosen
// answers that are worse than the model's own: both lose likelihood, rejected
// ones more.
//
//	L = σ(βc) + 1 - σ(βΔ)
func apoDown(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return b.Add(b.Sigmoid(chosenReward(b, in, p)), b.Sigmoid(b.Neg(rewardMargin(b, in, p))))
}
