package datasets

import (
	"fmt"
	"slices"

	"align/internal/records"
)

// Which tokens of an example are trained on.
const (
	// LossOnAssistant is what the assistant says in every turn, with the closing
	// tokens; all of a text, and what the mask of tokens says.
	LossOnAssistant = "assistant"
	// LossOnCompletion is the assistant's last turn alone.
	LossOnCompletion = "completion"
	// LossOnAll is every token but the first, prompts and headers too.
	LossOnAll = "all"
)

// LossOn are the choices, the default first.
func LossOn() []string { return []string{LossOnAssistant, LossOnCompletion, LossOnAll} }

// lastTurn is a mask of the last run of targets: turns have headers between
// them, which are none.
func lastTurn(mask []bool) []bool {
	last := make([]bool, len(mask))
	end := len(mask)
	for end > 0 && !mask[end-1] {
		end--
	}
	for ; end > 0 && mask[end-1]; end-- {
		last[end-1] = true
	}
	return last
}

// checkCompletion refuses records of which no part is the completion. It is the
// setting that does not fit them, so that no policy of bad records drops them.
func (e *encoder) checkCompletion(place records.Place, what string) error {
	if e.lossOn != LossOnCompletion {
		return nil
	}
	return fmt.Errorf("%s: %s has no completion for loss_on completion: all of it is trained on with assistant or all", place, what)
}

// targets is the mask of what is trained on, from that of the assistant's turns;
// it comes after the example is cut, because a prompt is cut as one.
func (e *encoder) targets(mask []bool) []bool {
	if e.lossOn == LossOnAll {
		return slices.Repeat([]bool{true}, len(mask))
	}
	return mask
}
