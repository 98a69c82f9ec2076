package rollout

import "context"

// Generator answers prompts. Engine is one, in this process; Server is one over
// HTTP.
type Generator interface {
	// Generate draws Options.Samples answers to each prompt and hands each to
	// emit as it ends, in any order, from the calling goroutine.
	Generate(ctx context.Context, prompts []Prompt, o Options, emit func(Sample) error) error
	Close()
}

var (
	_ Generator = (*Engine)(nil)
	_ Generator = (*Server)(nil)
	_ Generator = (*Recomputed)(nil)
)
