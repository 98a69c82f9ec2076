package ppo

import "math"

// gae is generalised advantage estimation over the tokens of one response,
// equations 11 and 12 of https://arxiv.org/abs/1707.06347, with the value after
// the last token 0:
//
//	δ_t = r_t + γ·V_{t+1} - V_t
//	A_t = δ_t + γ·λ·A_{t+1}
//	R_t = A_t + V_t
//
// rewards are r and values V; returns R is what the value is trained on.
func gae(rewards, values []float64, gamma, lambda float64) (advantages, returns []float64) {
	advantages, returns = make([]float64, len(rewards)), make([]float64, len(rewards))
	nextValue, nextAdvantage := 0.0, 0.0
	for t := len(rewards) - 1; t >= 0; t-- {
		delta := rewards[t] + gamma*nextValue - values[t]
		advantages[t] = delta + gamma*lambda*nextAdvantage
		returns[t] = advantages[t] + values[t]
		nextValue, nextAdvantage = values[t], advantages[t]
	}
	return advantages, returns
}

// whitenEpsilon is added to the variance, as in TRL and torchtune.
const whitenEpsilon = 1e-8

// whiten shifts and scales the numbers of all sequences, in place, to mean 0
// and variance 1 over all of their elements:
//
//	x ← (x - mean)/√(var + 1e-8),  var with n-1
func whiten(sequences ...[]float64) {
	mean, variance := moments(sequences)
	scale := 1 / math.Sqrt(variance+whitenEpsilon)
	for _, x := range sequences {
		for i := range x {
			x[i] = (x[i] - mean) * scale
		}
	}
}

// whitenScale is whiten with the mean left where it is, for rewards: their
// sign says something.
//
//	x ← (x - mean)/√(var + 1e-8) + mean
func whitenScale(sequences ...[]float64) {
	mean, _ := moments(sequences)
	whiten(sequences...)
	for _, x := range sequences {
		for i := range x {
			x[i] += mean
		}
	}
}

// moments are the mean and the unbiased variance over all elements; the
// variance of fewer than two is 0. Two passes: the sum of squares would cancel.
func moments(sequences [][]float64) (mean, variance float64) {
	n := 0
	for _, x := range sequences {
		n += len(x)
		for _, v := range x {
			mean += v
		}
	}
	mean /= float64(max(n, 1))
	for _, x := range sequences {
		for _, v := range x {
			variance += (v - mean) * (v - mean)
		}
	}
	return mean, variance / float64(max(n-1, 1))
}

// leaveOneOut is RLOO's advantage of each of the K responses to one prompt
// (https://arxiv.org/abs/2402.14740), its score less the mean score of the
// others; 0 of a single response:
//
//	A_i = s_i - Σ_{j≠i} s_j/(K-1) = (s_i - mean)·K/(K-1)
func leaveOneOut(scores []float64) []float64 {
	advantages := make([]float64, len(scores))
	if len(scores) < 2 {
		return advantages
	}
	mean, _ := moments([][]float64{scores})
	k := float64(len(scores))
	for i, s := range scores {
		advantages[i] = (s - mean) * k / (k - 1)
	}
	return advantages
}

// groupEpsilon is added to the standard deviation of a group, as in TRL.
const groupEpsilon = 1e-4

// groupRelative is GRPO's advantage of each of the K responses to one prompt,
// section 4.1.2 of https://arxiv.org/abs/2402.03300, with the n-1 standard
// deviation and the 1e-4 of TRL:
//
//	A_i = (s_i - mean)/(std + 1e-4)
func groupRelative(scores []float64) []float64 {
	mean, variance := moments([][]float64{scores})
	advantages := make([]float64, len(scores))
	for i, s := range scores {
		advantages[i] = (s - mean) / (math.Sqrt(variance) + groupEpsilon)
	}
	return advantages
}

// groupCentred is groupRelative without the division, which favours prompts
// whose scores hardly differ (https://arxiv.org/abs/2503.20783).
func groupCentred(scores []float64) []float64 {
	mean, _ := moments([][]float64{scores})
	advantages := make([]float64, len(scores))
	for i, s := range scores {
		advantages[i] = s - mean
	}
	return advantages
}
