package ppo

import "math"

// How scores of whole responses become rewards.

// overlongPenalty is 0 up to length limit-buffer and falls in a straight line
// to -factor at the limit and beyond: equation 13 of
// https://arxiv.org/abs/2503.14476 (DAPO), lengths in tokens.
//
//	-min(max(length - (limit - buffer), 0), buffer)/buffer · factor
func overlongPenalty(length, limit, buffer int, factor float64) float64 {
	if buffer <= 0 {
		return 0
	}
	excess := min(max(length-(limit-buffer), 0), buffer)
	return -float64(excess) / float64(buffer) * factor
}

// runningMoments are the mean and variance of all scores so far, by Welford's
// update (https://doi.org/10.2307/1266577). The fields are what a checkpoint
// must keep.
type runningMoments struct {
	Count, Mean, SquareSum float64
}

func (m *runningMoments) add(scores ...float64) {
	for _, s := range scores {
		m.Count++
		step := s - m.Mean
		m.Mean += step / m.Count
		m.SquareSum += step * (s - m.Mean)
	}
}

// normalise is (score - mean)/√(var + 1e-8), the score itself before there are
// two to take a variance of.
func (m *runningMoments) normalise(score float64) float64 {
	if m.Count < 2 {
		return score
	}
	return (score - m.Mean) / math.Sqrt(m.SquareSum/(m.Count-1)+whitenEpsilon)
}
