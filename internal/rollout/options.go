package rollout

import (
	"slices"

	"align/model"
)

// Finish reasons of a sample.
const (
	FinishStop   = "stop"   // a stop id was drawn
	FinishLength = "length" // MaxNew tokens were drawn, or the context was full
)

// MaxSamples bounds the answers to one prompt: more are rather a slip than wanted.
const MaxSamples = 1 << 16

// Options of a generation.
type Options struct {
	Sampling
	// MaxNew bounds the tokens of an answer, and Context those of prompt and answer
	// together; 0 leaves that to MaxNew.
	MaxNew, Context int
	// Samples is the number of answers to each prompt.
	Samples int
	Seed    uint64
	// Stop ids end an answer; the id is part of it.
	Stop []int32
	// OnToken, if not nil, is told every token as it is drawn and may end the
	// sample by returning true.
	OnToken func(prompt, sample int, ids []int32) bool
}

// room is the number of tokens that an answer to a prompt may have.
func (o Options) room(prompt []int32) int {
	if o.Context == 0 {
		return o.MaxNew
	}
	return min(o.MaxNew, o.Context-len(prompt))
}

// Prompt is what to answer. Key tells its draws from other prompts'; equal keys
// and seeds give equal answers.
type Prompt struct {
	IDs []int32
	Key uint64
	// Have are the samples that are there already, by index: they are not drawn.
	Have []int
}

// want are the samples to draw, ascending.
func (p Prompt) want(samples int) []int {
	var want []int
	for i := range samples {
		if !slices.Contains(p.Have, i) {
			want = append(want, i)
		}
	}
	return want
}

// Sample is one answer.
type Sample struct {
	Prompt, Index int
	IDs           []int32
	// LogProbs is the log-probability of each token under the sampling policy
	// (temperature applied, nothing cut off), in nats.
	LogProbs []float64
	Finish   string
}

// Limits size an engine: the longest prompt and answer, and how many samples
// run at once.
type Limits struct {
	Prompt, Answer, Sequences int
	// Shared, if not nil, is memory that the engine uses in turns with other
	// sessions: they must not run while it generates.
	Shared *model.Shared
}

// Cache are the sizes of an engine's decoding session.
func (l Limits) Cache(adapter *model.Adapter) model.CacheOptions {
	return model.CacheOptions{
		Rows: max(l.Sequences, min(l.Prompt, prefillRows)), Sequences: l.Sequences, Adapter: adapter, Shared: l.Shared,
		PagesPerSequence: pagesOf(l.Prompt) + pagesOf(l.Answer),
		// A prompt of its own for every sequence is the worst case.
		Pages: l.Sequences * (pagesOf(l.Prompt) + pagesOf(l.Answer)),
	}
}
