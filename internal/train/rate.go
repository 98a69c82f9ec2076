package train

import "time"

// rate is a moving average of the time of a step and of its tokens: weighted
// sums, and the sum of the weights.
type rate struct {
	steps                   int
	seconds, tokens, weight float64
}

// keepRate weighs the past: about the last ten steps count.
const keepRate = 0.9

// add counts a step. The first one reserves memory, which may take as long as
// itself: it is forgotten with the second.
func (r *rate) add(elapsed time.Duration, tokens int64) {
	keep := keepRate
	if r.steps == 1 {
		keep = 0
	}
	r.steps++
	r.seconds = keep*r.seconds + elapsed.Seconds()
	r.tokens = keep*r.tokens + float64(tokens)
	r.weight = keep*r.weight + 1
}

func (r *rate) tokensPerSecond() float64 {
	if r.seconds == 0 {
		return 0
	}
	return r.tokens / r.seconds
}

func (r *rate) remaining(steps int) time.Duration {
	return time.Duration(r.seconds / max(r.weight, 1) * float64(steps) * float64(time.Second))
}
