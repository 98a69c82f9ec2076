package ppo

import (
	"align/datasets"
)

// Prompt is what to answer; Text and Reference are for rules and commands,
// Messages for reward models with tokens of their own.
type Prompt struct {
	Messages        []datasets.Message
	IDs             []int32
	Text, Reference string
	Place           string
}

// Hash is a content hash: of the ids and the reference.
func (p Prompt) Hash() [32]byte { return datasets.PromptHash(p.IDs, p.Reference) }

// episode is one answer of a rollout. The fields in JSON are what a checkpoint
// keeps; the rest follows from them.
type episode struct {
	Prompt int     `json:"prompt"` // index of the prompt
	IDs    []int32 `json:"ids"`
	// Ended: by itself, at a stop id.
	Ended bool `json:"ended"`
	// Raw is the scorer's score, Score the one that is used.
	Raw   float64 `json:"raw"`
	Score float64 `json:"score"`
	// LogProbs of the policy that sampled and of the reference, Values of the
	// critic: one per token, at the sampling temperature.
	LogProbs  []float64 `json:"logprobs"`
	Reference []float64 `json:"reference"`
	Values    []float64 `json:"values,omitempty"`

	kl                  []float64 // estimate at each token
	rewards             []float64
	advantages, returns []float64
}

// divergence is the estimate k1 of the KL from the reference, summed over the
// answer.
func (e *episode) divergence() float64 {
	sum := 0.0
	for t, l := range e.LogProbs {
		sum += k1(l - e.Reference[t])
	}
	return sum
}

func sum(x []float64) float64 {
	total := 0.0
	for _, v := range x {
		total += v
	}
	return total
}
