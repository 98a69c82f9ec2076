package sft

import "align/internal/graph"

// The losses of a token, under TRL's names.
const (
	LossNLL = "nll"
	LossDFT = "dft"
)

// Loss is a loss of tokens by name.
type Loss struct {
	Name string
	// About is its formula on one line; Paper is its number at arxiv.org, "" for
	// plain likelihood.
	About, Paper string
}

// Losses are all of them, the usual one first.
func Losses() []Loss {
	return []Loss{
		{Name: LossNLL, About: "-log p, the likelihood"},
		{Name: LossDFT, About: "-[p] log p, dynamic fine-tuning: what is unlikely pulls less", Paper: "2508.05629"},
	}
}

// What the loss is a mean over: all target tokens of a step, or the mean of
// each example.
const (
	MeanToken    = "token"
	MeanSequence = "sequence"
)

// rectified are the log-probabilities [N] of tokens, each times its probability
// without a gradient, https://arxiv.org/abs/2508.05629 as TRL computes it:
//
//	[p_t] log p_t
//
// so that the gradient of its sum is that of the sum of p_t. It stands in the place
// of log p_t where the loss is dft.
func rectified(b *graph.Builder, logProbs *graph.Node) *graph.Node {
	return b.Mul(b.Constant(b.Exp(logProbs)), logProbs)
}

// loss is the negative log-likelihood of the answers, from the log-probability
// of each sequence [S], or each rectified one of a token [N], and their weights:
//
//	L = - sum over s of weight_s log pi(y_s|x_s)
//
// weight is 1/(target tokens of the step) for the mean over tokens, and
// 1/(tokens of s * examples of the step) for the mean over examples of each
// example's mean.
func loss(b *graph.Builder, sequenceLogProbs, weights *graph.Node) *graph.Node {
	return b.Neg(b.Dot(sequenceLogProbs, weights))
}

// tokenWeights are those of the tokens [N] from their sequences' [S].
func tokenWeights(weights []float64, sequence []int32) []float64 {
	per := make([]float64, len(sequence))
	for i, s := range sequence {
		per[i] = weights[s]
	}
	return per
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
