package ppo

// What the loss of a step is a mean over, as in DAPO, in GRPO and in Dr. GRPO.
const (
	MeanToken    = "token"
	MeanSequence = "sequence"
	MeanConstant = "constant"
)

// weight is what an answer of n tokens adds to the weight of its step.
func (c Config) weight(n int) float64 {
	if c.LossMean == MeanToken {
		return float64(n)
	}
	return 1
}

// tokenWeight is that of each of an answer's n tokens in the loss of a step, of the
// step's weight:
//
//	token     1/(tokens of the step)
//	sequence  1/(n * answers of the step)
//	constant  1/(max_new * answers of the step)
func (c Config) tokenWeight(n int, weight float64) float64 {
	switch c.LossMean {
	case MeanSequence:
		return 1 / (float64(n) * weight)
	case MeanConstant:
		return 1 / (float64(c.MaxNew) * weight)
	}
	return 1 / weight
}
