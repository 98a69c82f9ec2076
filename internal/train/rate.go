package train

import "time"

// rate is a moving average of the time of a step and of its tokens.
type rate struct{ seconds, tokens float64 }

// keepRate weighs the past: about the last ten steps count.
const keepRate = 0.9

func (r *rate) add(elapsed time.Duration, tokens int64) {
	if r.seconds == 0 {
		r.seconds, r.tokens = elapsed.Seconds(), float64(tokens)
		return
	}
	r.seconds = keepRate*r.seconds + (1-keepRate)*elapsed.Seconds()
	r.tokens = keepRate*r.tokens + (1-keepRate)*float64(tokens)
}

func (r *rate) tokensPerSecond() float64 {
	if r.seconds == 0 {
		return 0
	}
	return r.tokens / r.seconds
}

func (r *rate) remaining(steps int) time.Duration {
	return time.Duration(r.seconds * float64(steps) * float64(time.Second))
}
