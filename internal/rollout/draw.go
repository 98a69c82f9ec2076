package rollout

import (
	"runtime"
	"sync"
	"sync/atomic"

	"align/internal/device"
)

// drawn is a token with its log-probability.
type drawn struct {
	id      int32
	logProb float64
}

// threadsOf is how many threads a backend computes on, all of the host's where
// it computes elsewhere.
func threadsOf(b device.Backend) int {
	if t, is := b.(interface{ Threads() int }); is {
		return t.Threads()
	}
	return runtime.GOMAXPROCS(0)
}

// drawAll draws the next token of every sequence, from its row of the logits:
// with the vocabulary of Llama 3 that takes as long as a small model's step.
func (e *Engine) drawAll(running []*sequence, logits []float32) {
	var all sync.WaitGroup
	var next atomic.Int64
	for w := range min(len(e.samplers), len(running)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(running); i = int(next.Add(1)) - 1 {
				e.drawn[i] = e.samplers[w].next(running[i], logits[i*e.vocab:(i+1)*e.vocab])
			}
		})
	}
	all.Wait()
}

// next draws a sequence's next token. It changes the logits where a penalty is
// asked for.
func (s *sampler) next(q *sequence, logits []float32) (d drawn) {
	var seen []int32
	if s.RepetitionPenalty != 1 {
		seen = append(append(seen, q.prompt.ids...), q.sample.IDs...)
	}
	d.id, d.logProb = s.draw(logits, seen, uniform(q.key, len(q.sample.IDs)))
	return d
}
