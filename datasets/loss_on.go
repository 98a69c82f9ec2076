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

// trainedOn is the mask of a conversation's turns that are trained on, from that of
// all the assistant's. Its runs of targets are those turns, in order.
func (e *encoder) trainedOn(place records.Place, mask []bool, c []Message) ([]bool, error) {
	trained := mask
	if e.lossOn == LossOnCompletion {
		trained = lastTurn(mask)
	}
	if !slices.ContainsFunc(c, untrained) {
		return trained, nil
	}
	if e.lossOn == LossOnAll {
		return nil, fmt.Errorf("%s: a message of weight 0 is not trained on, and loss_on all trains on every token: leave one of them out", place)
	}
	trained = slices.Clone(trained)
	at := 0
	for _, m := range c {
		if m.Role != "assistant" {
			continue
		}
		for at < len(mask) && !mask[at] {
			at++
		}
		for ; at < len(mask) && mask[at]; at++ {
			trained[at] = trained[at] && !m.Untrained
		}
	}
	return trained, nil
}

func untrained(m Message) bool { return m.Role == "assistant" && m.Untrained }

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
