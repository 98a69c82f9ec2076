package reward

import (
	"math"

	"align/internal/train"
)

// binEdges part the absolute differences of scores; a reward model says that
// the higher answer wins with probability σ(difference): .5, .62, .73, .88.
var binEdges = [...]float64{0.5, 1, 2}

// binNames are the bins' parts of metric names.
var binNames = [...]string{"0-0.5", "0.5-1", "1-2", "2-"}

// calibration counts pairs by the difference of their scores: how often the
// model was right, and how often it said it would be.
type calibration struct {
	pairs, right, claimed [len(binNames)]float64
}

func (c *calibration) add(b batch, scores []float64) {
	for i := range b.chosen {
		difference := scores[b.chosen[i]] - scores[b.rejected[i]]
		at := 0
		for at < len(binEdges) && math.Abs(difference) >= binEdges[at] {
			at++
		}
		c.pairs[at]++
		c.claimed[at] += 1 / (1 + math.Exp(-math.Abs(difference)))
		if difference > 0 {
			c.right[at]++
		}
	}
}

// report adds the accuracy of each bin that has pairs, and the mean distance
// between claim and accuracy over all pairs: the expected calibration error of
// https://arxiv.org/abs/1706.04599, equation 3.
func (c *calibration) report(m *train.Metrics) {
	total, off := 0.0, 0.0
	for i, n := range c.pairs {
		if n == 0 {
			continue
		}
		m.Add("eval_accuracy_margin_"+binNames[i], c.right[i], n)
		total += n
		off += math.Abs(c.right[i] - c.claimed[i])
	}
	if total > 0 {
		m.Add("eval_calibration_error", off, total)
	}
}
