package align

import (
	"fmt"

	"align/datasets"
	"align/internal/rollout"
	"align/internal/tokenizer"
	"align/rejection"
	"align/reward"
)

// eachSequence visits the token ids of a list of records, of whatever kind.
func eachSequence(list any, visit func(ids []int32)) {
	switch list := list.(type) {
	case []datasets.Example:
		for _, e := range list {
			visit(e.IDs)
		}
	case []datasets.Pair:
		for _, p := range list {
			visit(p.Prompt)
			visit(p.Chosen)
			visit(p.Rejected)
		}
	case []datasets.Unpaired:
		for _, u := range list {
			visit(u.Prompt)
			visit(u.Response)
		}
	case []reward.Group:
		for _, g := range list {
			visit(g.Prompt)
			for _, answer := range g.Answers {
				visit(answer)
			}
		}
	case []rejection.Prompt:
		for _, p := range list {
			visit(p.IDs)
		}
	case []rollout.Prompt:
		for _, p := range list {
			visit(p.IDs)
		}
	}
}

// fitsVocabulary refuses records with tokens that the model has no embedding of, as
// where tokens were added to a tokenizer and not to its model. A tokenizer may have
// such tokens that nothing uses.
func fitsVocabulary(t *tokenizer.Tokenizer, rows int, lists ...any) error {
	outside := int32(-1)
	for _, list := range lists {
		eachSequence(list, func(ids []int32) {
			for _, id := range ids {
				if int(id) >= rows && (outside < 0 || id < outside) {
					outside = id
				}
			}
		})
	}
	if outside < 0 {
		return nil
	}
	return fmt.Errorf("tokenizer: %q is token %d, and the model's embedding has %d rows (vocab_size): the tokenizer is of another model, or has tokens that the model was not resized for", t.Text(outside), outside, rows)
}
