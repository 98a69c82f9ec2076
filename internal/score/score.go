package score

import (
	"context"
	"fmt"
	"math"
	"strings"

	"align/datasets"
)

// Item is one answer to one prompt, as text for rules and commands and as token
// ids for reward models.
type Item struct {
	Prompt, Response string
	// Messages are the prompt's, for reward models with tokens of their own.
	Messages []datasets.Message
	// Reference is the expected answer, where the data has one.
	Reference              string
	PromptIDs, ResponseIDs []int32
}

// Scorer gives each item a score; more is better.
type Scorer interface {
	Score(ctx context.Context, items []Item) ([]float64, error)
}

// All scores the items and holds the scorer to one finite number each.
func All(ctx context.Context, s Scorer, items []Item) ([]float64, error) {
	if len(items) == 0 {
		return nil, nil
	}
	scores, err := s.Score(ctx, items)
	if err != nil {
		return nil, err
	}
	if len(scores) != len(items) {
		return nil, fmt.Errorf("score: %d scores for %d answers", len(scores), len(items))
	}
	for i, x := range scores {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("score: answer %d of %d has the score %v: want a finite number (answer %.40q)", i+1, len(items), x, items[i].Response)
		}
	}
	return scores, nil
}

// Check refuses a name that Parse does not take; "" is none.
func Check(name string) error {
	if name == "" {
		return nil
	}
	_, err := Parse(name)
	return err
}

// Parse makes a scorer of its name: exact, regex:PATTERN, length, length:N,
// gsm8k or command:CMD.
func Parse(name string) (Scorer, error) {
	kind, argument, given := strings.Cut(name, ":")
	switch {
	case kind == "exact" && !given:
		return rule(exact), nil
	case kind == "gsm8k" && !given:
		return rule(gsm8k), nil
	case kind == "length":
		return parseLength(argument, given)
	case kind == "regex" && argument != "":
		return parseRegex(argument)
	case kind == "command" && strings.TrimSpace(argument) != "":
		return &Command{Line: argument}, nil
	}
	return nil, fmt.Errorf("score: scorer %q: want exact, regex:PATTERN, length, length:N, gsm8k or command:CMD", name)
}
