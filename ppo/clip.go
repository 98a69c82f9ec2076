package ppo

import "math"

// What clipping did to a mini-batch, from the values of a forward pass: sums
// over its tokens, for metrics.

// clipRange is how far the ratio of a token counts below 1 and above.
type clipRange struct{ low, high float64 }

// clipRange is the config's.
func (c Config) clipRange() clipRange {
	if c.ClipRangeHigh == 0 {
		return clipRange{c.ClipRange, c.ClipRange}
	}
	return clipRange{c.ClipRange, c.ClipRangeHigh}
}

// ratios are those that count at each token of a micro-batch, as in the loss.
func (b *tokens) ratios(logProbs []float64, level string) []float64 {
	ratios := make([]float64, len(logProbs))
	for t := range ratios {
		ratios[t] = logProbs[t] - b.logProbs[t]
	}
	if level != TokenLevel {
		sums, at := b.sums(ratios), 0
		for i, n := range b.lengths {
			for range int(n) {
				ratios[at] = sums[i]
				if level == SequenceLevel {
					ratios[at] /= n
				}
				at++
			}
		}
	}
	for t, l := range ratios {
		ratios[t] = math.Exp(clamp(l, maxLogRatio))
	}
	return ratios
}

// policyClips counts the tokens whose loss the clip range of the ratio raised:
// policy/clipfrac_avg of TRL times the tokens.
func policyClips(ratios, advantages []float64, clip clipRange) int {
	n := 0
	for t, a := range advantages {
		ratio := ratios[t]
		clipped := min(max(ratio, 1-clip.low), 1+clip.high)
		if -a*clipped > -a*ratio {
			n++
		}
	}
	return n
}

// valueClips counts the tokens whose value loss the clip range raised.
func valueClips(values, oldValues, returns []float64, valueClipRange float64) int {
	n := 0
	for t, v := range values {
		plain := v - returns[t]
		clipped := oldValues[t] + clamp(v-oldValues[t], valueClipRange) - returns[t]
		if clipped*clipped > plain*plain {
			n++
		}
	}
	return n
}

// approxKL is the sum over tokens of k2 of the policy against itself at the
// rollout: policy/approxkl_avg of TRL times the tokens.
func approxKL(logProbs, oldLogProbs []float64) float64 {
	sum := 0.0
	for t := range logProbs {
		sum += k2(logProbs[t] - oldLogProbs[t])
	}
	return sum
}
