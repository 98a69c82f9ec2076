package tokenizer

import "math"

// maxText is the longest text in bytes that one call encodes in one go:
// merging numbers bytes with int32. Longer text is cut there.
const maxText = math.MaxInt32

// EncodeOrdinary appends the ids of text to dst. It never yields a control
// id: the strings of special tokens are encoded as any other text. Bytes
// that are not UTF-8 are encoded as they are.
func (t *Tokenizer) EncodeOrdinary(dst []int32, text string) []int32 {
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
// one; with special set, the strings of added tokens become their ids, the
// leftmost first and the longest of those. It is meant for text that no
// stranger wrote.
func (t *Tokenizer) Encode(text string, bos, special bool) []int32 {
	ids := make([]int32, 0, len(text)/3+2)
	if bos && t.bos >= 0 {
		ids = append(ids, t.bos)
	}
	if !special {
		return t.EncodeOrdinary(ids, text)
	}
	start := 0
	for i := 0; i < len(text); {
		id, n := t.addedAt(text[i:])
		if n == 0 {
			i++
			continue
		}
		ids = append(t.EncodeOrdinary(ids, text[start:i]), id)
		i += n
		start = i
	}
	return t.EncodeOrdinary(ids, text[start:])
}

// addedAt is the longest added token at the start of s; length 0 if none.
func (t *Tokenizer) addedAt(s string) (id int32, length int) {
	if !t.addedStart[s[0]] {
		return 0, 0
	}
	for _, n := range t.addedLengths {
		if n > len(s) {
			continue
		}
		if id, ok := t.added[s[:n]]; ok {
			return id, n
		}
	}
	return 0, 0
}
