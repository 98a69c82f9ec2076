package datasets

import (
	"slices"
	"strconv"

	"align/internal/records"
)

// ignoreIndex is the label of a token that is not trained on (PyTorch's
// cross_entropy, ignore_index).
const ignoreIndex = -100

// tokenExample takes tokens as they are, without those that attention_mask says
// are padding. Without a mask every token but each document's first is a target.
func tokenExample(e *encoder, r records.Record) (Example, error) {
	ids, err := tokenIDs(r, "input_ids", e.vocabSize())
	if err != nil {
		return Example{}, err
	}
	out := Example{IDs: ids}
	if out.LossMask, err = tokenMask(r, ids); err != nil {
		return Example{}, err
	}
	if out.LossMask == nil {
		if err := e.checkCompletion(r.Place, "a record of tokens without completion_mask"); err != nil {
			return Example{}, err
		}
		out.LossMask = slices.Repeat([]bool{true}, len(ids))
	}
	if out.Document, err = documents(r, len(ids)); err != nil {
		return Example{}, err
	}
	if out, err = withoutPadding(r, out); err != nil {
		return Example{}, err
	}
	if len(out.IDs) == 0 {
		return Example{}, &degenerate{EmptyAnswer, "there are no tokens"}
	}
	if err := e.checkBOS("input_ids", out.IDs); err != nil {
		return Example{}, err
	}
	return e.fitExample(r.Place, out)
}

// tokenMask is where all columns that mark targets do: TRL's masks, and the labels
// of Transformers. It is nil without one.
func tokenMask(r records.Record, ids []int32) (mask []bool, err error) {
	for _, name := range []string{"completion_mask", "assistant_masks", "labels"} {
		if optional(r, name) == nil {
			continue
		}
		var marked []bool
		if name == "labels" {
			marked, err = labelled(r, ids)
		} else {
			marked, err = flags(r, name)
		}
		if err != nil {
			return nil, err
		}
		if len(marked) != len(ids) {
			return nil, malformed(name, "has %d entries for %d tokens", len(marked), len(ids))
		}
		for i := range mask {
			marked[i] = marked[i] && mask[i]
		}
		mask = marked
	}
	return mask, nil
}

// labelled reads labels: of each token its own id, or ignoreIndex. They are not
// shifted, as Transformers' models want them.
func labelled(r records.Record, ids []int32) ([]bool, error) {
	items, err := requiredList(r, "labels")
	if err != nil || len(items) != len(ids) {
		return make([]bool, len(items)), err
	}
	marked := make([]bool, len(ids))
	for i, item := range items {
		label, err := strconv.ParseInt(string(item), 10, 32)
		if err != nil || label != ignoreIndex && label != int64(ids[i]) {
			return nil, malformed("labels", "has %s at %d: want %d, the token there, or %d", short(item), i, ids[i], ignoreIndex)
		}
		marked[i] = label != ignoreIndex
	}
	return marked, nil
}

// withoutPadding drops the tokens at both ends that attention_mask has 0 for.
func withoutPadding(r records.Record, x Example) (Example, error) {
	if optional(r, "attention_mask") == nil {
		return x, nil
	}
	seen, err := flags(r, "attention_mask")
	if err != nil {
		return x, err
	}
	if len(seen) != len(x.IDs) {
		return x, malformed("attention_mask", "has %d entries for %d tokens", len(seen), len(x.IDs))
	}
	from, to := slices.Index(seen, true), len(seen)
	if from < 0 {
		return Example{}, nil
	}
	for !seen[to-1] {
		to--
	}
	if at := slices.Index(seen[from:to], false); at >= 0 {
		return x, malformed("attention_mask", "has 0 at %d, between tokens: want it at the ends alone", from+at)
	}
	return x.slice(from, to), nil
}

// documents reads the optional document_ids.
func documents(r records.Record, n int) ([]int32, error) {
	if optional(r, "document_ids") == nil {
		return nil, nil
	}
	ids, err := tokenIDs(r, "document_ids", 1<<30)
	if err != nil {
		return nil, err
	}
	if len(ids) != n {
		return nil, malformed("document_ids", "has %d entries for %d tokens", len(ids), n)
	}
	if !slices.IsSorted(ids) {
		return nil, malformed("document_ids", "goes down: want the documents one after another")
	}
	return ids, nil
}
