package reward

import (
	"cmp"
	"slices"

	"align/internal/graph"
)

// inputs are what the losses of pairs are written in: float64 vectors of
// length P. Chosen and Rejected are scores r(x, y).
type inputs struct {
	Chosen, Rejected *graph.Node
	Margin           *graph.Node // m: how much better the chosen answer is; nil is 0
}

// bradleyTerry is the loss of each pair, [P]: equation 1 of
// https://arxiv.org/abs/2203.02155 for one pair, with the margin of equation 2
// of https://arxiv.org/abs/2307.09288 and the centring term of
// https://arxiv.org/abs/2312.09244, as TRL has them:
//
//	L = -log σ( r_w - r_l - m ) + λ·( r_w + r_l )²
//
// Centring (λ, usually 0.01; 0 leaves it out) pulls the mean score to 0. It
// uses -log σ(x) = softplus(-x), which does not overflow.
func bradleyTerry(b *graph.Builder, in inputs, centering float64) *graph.Node {
	difference := b.Sub(in.Chosen, in.Rejected)
	if in.Margin != nil {
		difference = b.Sub(difference, in.Margin)
	}
	loss := b.Softplus(b.Neg(difference))
	if centering == 0 {
		return loss
	}
	return b.Add(loss, b.Scale(b.Square(b.Add(in.Chosen, in.Rejected)), centering))
}

// plackettLuce is the loss of each ranked list, [P], from the scores of its
// best, second best, ... answers, each [P]. It is the likelihood of
// https://doi.org/10.2307/2346567 (Plackett, 1975):
//
//	L = -Σ_i log( e^{r_i} / (e^{r_i} + Σ_{j below i} e^{r_j}) )
//
// With s = log Σ_{j below i} e^{r_j}, run from the last rank up, a term is
// softplus(s - r_i), which is never below 0, and the sum with r_i in it is
// s + softplus(r_i - s); neither overflows. At K = 2 it is bradleyTerry.
//
// in, where lists differ in length or have answers of equal rank, says which
// terms count and where a rank begins: equals do not compete, as they make no
// pair. A zero in is lists of one length without equals.
func plackettLuce(b *graph.Builder, ranked graph.Nodes, in listInputs) *graph.Node {
	last := len(ranked) - 1
	all := ranked[last] // log of the sum over this column and those after it
	below := all        // the same, of lower ranks only
	loss := b.Sub(all, all)
	for i := last - 1; i >= 0; i-- {
		if in.begins == nil {
			below = all
			loss = b.Add(loss, b.Softplus(b.Sub(below, ranked[i])))
		} else {
			// One of the two products is 0, so that the other is exact.
			below = b.Add(b.Mul(all, in.begins[i]), b.Mul(below, in.stays[i]))
			loss = b.Add(loss, b.Mul(b.Softplus(b.Sub(below, ranked[i])), in.counts[i]))
		}
		if i > 0 {
			all = b.Add(all, b.Softplus(b.Sub(ranked[i], all)))
		}
	}
	return loss
}

// pair is two answers of one list by their places in it.
type pair struct{ Chosen, Rejected int }

// rankedPairs are all pairs of a list of K answers with ranks, 1 the best: up
// to K(K-1)/2, best answers first. Answers of equal rank make no pair. With
// weight 1/(their number · lists of the step) each, a list counts as much as
// any other, as in equation 1 of https://arxiv.org/abs/2203.02155.
func rankedPairs(ranks []int) []pair {
	order := make([]int, len(ranks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ranks[a], ranks[b]) })
	var pairs []pair
	for i, chosen := range order {
		for _, rejected := range order[i+1:] {
			if ranks[chosen] < ranks[rejected] {
				pairs = append(pairs, pair{chosen, rejected})
			}
		}
	}
	return pairs
}
