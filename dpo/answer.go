package dpo

import (
	"errors"
	"slices"

	"align/datasets"
)

// Answer is a labelled answer as the unpaired losses see it.
type Answer struct {
	datasets.Unpaired
	// Other is an answer to another prompt: log π(other|prompt)/ref(other|prompt)
	// is one draw of the divergence that KTO's baseline is the mean of.
	Other       []int32
	OtherFormat []bool
}

// Mismatch gives every answer the one before it that belongs to another prompt,
// the first ones the last, as TRL's KTOTrainer rotates its data; one that does
// not fit behind the prompt is cut to maxLength in all. The partner does not
// depend on the order of training, so that its reference is computed once.
func Mismatch(list []datasets.Unpaired, maxLength int) ([]Answer, error) {
	answers := make([]Answer, len(list))
	at := len(list) - 1 // of the partner
	for at >= 0 && slices.Equal(list[at].Prompt, list[0].Prompt) {
		at--
	}
	if at < 0 {
		return nil, errors.New("dpo: all answers are to one prompt: kto takes its baseline from answers to other prompts")
	}
	for i, u := range list {
		if i > 0 && !slices.Equal(u.Prompt, list[i-1].Prompt) {
			at = i - 1
		}
		room := max(1, min(len(list[at].Response), maxLength-len(u.Prompt)))
		answers[i] = Answer{Unpaired: u, Other: list[at].Response[:room]}
		if format := list[at].Format; format != nil {
			answers[i].OtherFormat = format[:room]
		}
	}
	return answers, nil
}

// Alone are answers without others, for losses that have no baseline.
func Alone(list []datasets.Unpaired) []Answer {
	answers := make([]Answer, len(list))
	for i, u := range list {
		answers[i].Unpaired = u
	}
	return answers
}

// Both are the answers with the others as pairs, so that a Referee finds the
// reference's log-probabilities of both.
func Both(answers []Answer) []datasets.Pair {
	pairs := make([]datasets.Pair, len(answers))
	for i, a := range answers {
		pairs[i] = datasets.Pair{
			Prompt: a.Prompt, Chosen: a.Response, ChosenFormat: a.Format,
			Rejected: a.Other, RejectedFormat: a.OtherFormat, Place: a.Place,
		}
	}
	return pairs
}
