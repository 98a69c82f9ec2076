package sft

import "align/internal/graph"

// What the loss is a mean over: all target tokens of a step, or the mean of
// each example.
const (
	MeanToken    = "token"
	MeanSequence = "sequence"
)

// loss is the negative log-likelihood of the answers, from the log-probability
// of each sequence [S] and its weight [S]:
//
//	L = - sum over s of weight_s log pi(y_s|x_s)
//
// weight is 1/(target tokens of the step) for the mean over tokens, and
// 1/(tokens of s * examples of the step) for the mean over examples of each
// example's mean.
func loss(b *graph.Builder, sequenceLogProbs, weights *graph.Node) *graph.Node {
	return b.Neg(b.Dot(sequenceLogProbs, weights))
}

// sequenceWeights are the weights of the sequences of a pack; stepWeight is the
// whole step's number of target tokens, or of examples.
func sequenceWeights(mean string, tokens []int32, stepWeight float64) []float64 {
	weights := make([]float64, len(tokens))
	for i, n := range tokens {
		weights[i] = 1 / stepWeight
		if mean == MeanSequence && n > 0 {
			weights[i] /= float64(n)
		}
	}
	return weights
}
