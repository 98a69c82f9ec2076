package dpo

import "align/internal/train"

// LogProbs are the sequence log-probabilities of pairs under policy and
// reference, each of length P; means over an answer's tokens where the loss is
// PerToken. With a reference-free loss the reference's are nil and count as 0, as
// in TRL.
type LogProbs struct {
	PolicyChosen, PolicyRejected       []float64
	ReferenceChosen, ReferenceRejected []float64
}

// ImplicitReward is β·log(π(y|x)/ref(y|x)), the reward that DPO trains
// implicitly: equation 5 of https://arxiv.org/abs/2305.18290 without the
// partition function, which cancels in a margin.
func ImplicitReward(beta, policy, reference float64) float64 { return beta * (policy - reference) }

// AddMetrics adds the pairs to TRL's metrics, their names after the prefix (""
// or "eval_"). A tie counts as wrong in rewards/accuracies, so that it starts
// at 0.
func (l LogProbs) AddMetrics(m *train.Metrics, prefix string, beta float64) {
	for i := range l.PolicyChosen {
		chosen := ImplicitReward(beta, l.PolicyChosen[i], at(l.ReferenceChosen, i))
		rejected := ImplicitReward(beta, l.PolicyRejected[i], at(l.ReferenceRejected, i))
		correct := 0.0
		if chosen > rejected {
			correct = 1
		}
		m.Add(prefix+"rewards/chosen", chosen, 1)
		m.Add(prefix+"rewards/rejected", rejected, 1)
		m.Add(prefix+"rewards/accuracies", correct, 1)
		m.Add(prefix+"rewards/margins", chosen-rejected, 1)
		m.Add(prefix+"logps/chosen", l.PolicyChosen[i], 1)
		m.Add(prefix+"logps/rejected", l.PolicyRejected[i], 1)
	}
}

// at is x[i], or 0 of a vector that is not there.
func at(x []float64, i int) float64 {
	if x == nil {
		return 0
	}
	return x[i]
}
