package rollout

import "time"

// Stats is what an engine has done since it was made.
type Stats struct {
	// Prompts and PromptTokens were computed, each once for all of its samples.
	Prompts, PromptTokens int
	// Steps ran, of one token of every sequence under way: Tokens in all. A
	// sample's first token comes from its prompt and is none of them.
	Steps, Tokens int
	// The time of the prompts, of the steps and of drawing after a step.
	Prefill, Decode, Draw time.Duration
}

// Stats is what the engine has done so far.
func (e *Engine) Stats() Stats { return e.stats }

// prompt counts a prompt that has been worked on since start.
func (s *Stats) prompt(tokens int, start time.Time) {
	s.Prompts++
	s.PromptTokens += tokens
	s.Prefill += time.Since(start)
}

// step counts a step since start, and returns its end.
func (s *Stats) step(sequences int, start time.Time) time.Time {
	s.Steps++
	s.Tokens += sequences
	end := time.Now()
	s.Decode += end.Sub(start)
	return end
}

// draw counts the time since start as drawing.
func (s *Stats) draw(start time.Time) { s.Draw += time.Since(start) }

// Since is what came after an earlier state.
func (s Stats) Since(o Stats) Stats {
	return Stats{
		Prompts: s.Prompts - o.Prompts, PromptTokens: s.PromptTokens - o.PromptTokens, Steps: s.Steps - o.Steps, Tokens: s.Tokens - o.Tokens,
		Prefill: s.Prefill - o.Prefill, Decode: s.Decode - o.Decode, Draw: s.Draw - o.Draw,
	}
}
