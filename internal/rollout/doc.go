// Package rollout samples answers to prompts: many at once, each the same
// whatever runs beside it.
//
// The types to know are Generator, Options and Sample. Engine is the Generator
// of this process (engine.go, pages.go), Server one over HTTP (server.go,
// server_draw.go; wire.go says what vLLM and llama.cpp understand, retry.go what is
// tried again), Recomputed gives a
// server's answers the model's own log-probabilities and holds them to it.
//
// In the engine a prompt's keys and values are computed once and shared by all its samples; a sample joins as soon as
// there is a free place and memory for its longest course, so that the batch
// stays full (continuous batching, https://www.usenix.org/conference/osdi22/presentation/yu)
// over a paged cache (https://arxiv.org/abs/2309.06180). Every draw is a
// function of seed, prompt, sample and position, so that neither the batch, its
// order nor the number of threads shows in a result.
package rollout
