package datasets

import (
	"crypto/sha256"
	"encoding/binary"
)

// Example is one tokenised conversation or text of supervised fine-tuning.
type Example struct {
	IDs []int32
	// LossMask says which tokens are targets; a document's first token never is.
	LossMask []bool
	// Document numbers the documents of an example that holds several (a
	// pre-packed one), ascending; nil means one.
	Document []int32
	Place    string
}

// Targets is the number of tokens that are predicted.
func (e Example) Targets() int {
	n := 0
	for i := range e.IDs {
		if e.isTarget(i) {
			n++
		}
	}
	return n
}

// isTarget says whether token i is predicted from the one before it.
func (e Example) isTarget(i int) bool {
	return i > 0 && e.LossMask[i] && (e.Document == nil || e.Document[i] == e.Document[i-1])
}

// Hash is a content hash of ids and mask.
func (e Example) Hash() [32]byte {
	h := sha256.New()
	writeIDs(h, e.IDs)
	for i := range e.LossMask {
		b := byte(0)
		if e.isTarget(i) {
			b = 1
		}
		h.Write([]byte{b})
	}
	return [32]byte(h.Sum(nil))
}

// Pair is one tokenised preference: two answers to one prompt.
type Pair struct {
	Prompt, Chosen, Rejected []int32
	// ChosenFormat and RejectedFormat mark header and termination tokens,
	// which the Llama 3 preset leaves out of the loss; nil marks none.
	ChosenFormat, RejectedFormat []bool
	// Margin is by how much the chosen answer is better, where the data says so
	// (https://arxiv.org/abs/2307.09288, section 3.2.2); else 0.
	Margin float64
	Place  string
}

// Hash is a content hash of the three id sequences.
func (p Pair) Hash() [32]byte {
	h := sha256.New()
	for _, ids := range [][]int32{p.Prompt, p.Chosen, p.Rejected} {
		writeIDs(h, ids)
	}
	return [32]byte(h.Sum(nil))
}

// Opposite is the hash of the pair with its answers the other way round.
func (p Pair) Opposite() [32]byte {
	return Pair{Prompt: p.Prompt, Chosen: p.Rejected, Rejected: p.Chosen}.Hash()
}

// Tokens is the number of tokens of both sides, with the prompt once.
func (p Pair) Tokens() int { return len(p.Prompt) + len(p.Chosen) + len(p.Rejected) }

// writeIDs hashes a length and the ids, so that no two lists run together.
func writeIDs(w interface{ Write([]byte) (int, error) }, ids []int32) {
	buf := binary.LittleEndian.AppendUint64(nil, uint64(len(ids)))
	for _, id := range ids {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
	}
	w.Write(buf)
}
