package tokenizer

import "math"

// maxText is the longest text in bytes that one call encodes in one go:
// merging numbers bytes with int32. Longer text is cut there.
const maxText = math.MaxInt32

// EncodeOrdinary appends the ids of text to dst. It never yields a control
// id: the strings of special tokens are encoded as any other text. Those of
// added tokens that are not special become their ids. Bytes that are not UTF-8
// are encoded as they are.
func (t *Tokenizer) EncodeOrdinary(dst []int32, text string) []int32 {
	return t.appendSplit(dst, t.addedSets[:], text, false)
}

// appendText appends the ids of text without added tokens.
func (t *Tokenizer) appendText(dst []int32, text string) []int32 {
	m := t.mergers.Get().(*merger)
	for len(text) > 0 {
		n := min(nextPiece(text), maxText)
		dst = t.appendPiece(dst, m, text[:n])
		text = text[n:]
	}
	t.mergers.Put(m)
	return dst
}

// appendPiece appends the ids of one piece of the splitter.
func (t *Tokenizer) appendPiece(dst []int32, m *merger, piece string) []int32 {
	if t.ignoreMerges {
		if id, ok := t.ids[piece]; ok {
			return append(dst, id)
		}
	}
	if len(piece) <= scanLimit {
		return t.mergeScan(dst, m, piece)
	}
	return t.mergeHeap(dst, m, piece)
}

// Encode is the ids of text: after BOS where bos is set and the tokenizer has
// one; with special set, the strings of special tokens become their ids too. It
// is meant for text that no stranger wrote.
func (t *Tokenizer) Encode(text string, bos, special bool) []int32 {
	ids := make([]int32, 0, len(text)/3+2)
	if bos && t.bos >= 0 {
		ids = append(ids, t.bos)
	}
	return t.appendSplit(ids, t.addedSets[:], text, special)
}
