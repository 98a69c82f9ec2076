package datasets

import "encoding/binary"

// Pack is one row of tokens that a decoder runs at once: documents, or pairs
// whose prompt stands once. Query i sees keys in [PrefixStart_i, PrefixEnd_i)
// and in [SegmentStart_i, i]; an empty prefix has start = end = SegmentStart.
// Packing lays examples end to end; it never changes what they compute.
type Pack struct {
	// [T]
	IDs, Position, PrefixStart, PrefixEnd, SegmentStart []int32
	// DropoutKey[T] is the key of a token for dropout: of its example and its
	// position in it, never of its place in the pack.
	DropoutKey []int32
	// [N] row Rows[n] of the decoder's output predicts token Targets[n], which
	// belongs to sequence Sequence[n], ascending.
	Rows, Targets, Sequence []int32
	Sequences               int
	// Tokens[S] is the number of targets of each sequence.
	Tokens []int32
}

// Reset empties the pack and keeps its memory.
func (p *Pack) Reset() {
	*p = Pack{
		IDs: p.IDs[:0], Position: p.Position[:0], PrefixStart: p.PrefixStart[:0], PrefixEnd: p.PrefixEnd[:0],
		SegmentStart: p.SegmentStart[:0], DropoutKey: p.DropoutKey[:0],
		Rows: p.Rows[:0], Targets: p.Targets[:0], Sequence: p.Sequence[:0], Tokens: p.Tokens[:0],
	}
}

// AddExample appends an example: one sequence, one segment per document. Key is
// the example's dropout key.
func (p *Pack) AddExample(e Example, key uint32) {
	sequence := p.newSequence()
	for from := 0; from < len(e.IDs); {
		to := from + 1
		for to < len(e.IDs) && (e.Document == nil || e.Document[to] == e.Document[from]) {
			to++
		}
		start := p.segment(e.IDs[from:to], 0, len(p.IDs), len(p.IDs), key+uint32(from))
		for i := from + 1; i < to; i++ {
			if e.isTarget(i) {
				p.target(start+i-1-from, e.IDs[i], sequence)
			}
		}
		from = to
	}
}

// Answer is one response of a group. Skip marks tokens that are no targets; nil
// marks none.
type Answer struct {
	IDs  []int32
	Skip []bool
}

// AddGroup appends a prompt and its answers, which share the prompt's tokens
// and do not see each other: one sequence per answer. The prompt's last row
// predicts the first token of every answer.
func (p *Pack) AddGroup(prompt []int32, key uint32, answers ...Answer) {
	start := p.segment(prompt, 0, len(p.IDs), len(p.IDs), key)
	for i, a := range answers {
		p.answer(a, start, len(prompt), key+uint32(i+1)<<20)
	}
}

// AddSeparate is AddGroup with the prompt laid out anew for every answer: the
// same numbers to rounding, for comparison.
func (p *Pack) AddSeparate(prompt []int32, key uint32, answers ...Answer) {
	for i, a := range answers {
		start := p.segment(prompt, 0, len(p.IDs), len(p.IDs), key)
		p.answer(a, start, len(prompt), key+uint32(i+1)<<20)
	}
}

// AddPair appends a pair as a group: two sequences, chosen and rejected.
func (p *Pack) AddPair(pair Pair, key uint32) {
	p.AddGroup(pair.Prompt, key, Answer{IDs: pair.Chosen}, Answer{IDs: pair.Rejected})
}

// AddPairWithoutFormat appends a pair as three sequences: the chosen and the
// rejected answer without their format tokens, and the format tokens of the
// chosen one, which only its likelihood counts.
func (p *Pack) AddPairWithoutFormat(pair Pair, key uint32) {
	first := len(p.IDs) + len(pair.Prompt)
	p.AddGroup(pair.Prompt, key, Answer{pair.Chosen, pair.ChosenFormat}, Answer{pair.Rejected, pair.RejectedFormat})
	format := p.newSequence()
	for i, skipped := range pair.ChosenFormat {
		if skipped {
			p.target(answerRow(first, len(pair.Prompt), i), pair.Chosen[i], format)
		}
	}
}

// answerRow is the row that predicts token i of an answer that begins at row
// first and follows a prompt of the given length: the first token comes from
// the prompt's last row. It holds for the first answer of a group.
func answerRow(first, prompt, i int) int {
	if i == 0 && prompt > 0 {
		return first - 1
	}
	return first + i - 1
}

func (p *Pack) answer(a Answer, prompt, length int, key uint32) {
	if length == 0 {
		prompt = len(p.IDs) // the form of an empty prefix
	}
	sequence := p.newSequence()
	start := p.segment(a.IDs, length, prompt, prompt+length, key)
	for i, id := range a.IDs {
		if a.Skip != nil && a.Skip[i] || length == 0 && i == 0 {
			continue
		}
		row := start + i - 1
		if i == 0 {
			row = prompt + length - 1
		}
		p.target(row, id, sequence)
	}
}

func (p *Pack) newSequence() int32 {
	p.Sequences++
	p.Tokens = append(p.Tokens, 0)
	return int32(p.Sequences - 1)
}

// segment appends ids that see each other and the rows of the prefix.
func (p *Pack) segment(ids []int32, position, prefixStart, prefixEnd int, key uint32) (start int) {
	start = len(p.IDs)
	for i, id := range ids {
		p.IDs = append(p.IDs, id)
		p.Position = append(p.Position, int32(position+i))
		p.PrefixStart = append(p.PrefixStart, int32(prefixStart))
		p.PrefixEnd = append(p.PrefixEnd, int32(prefixEnd))
		p.SegmentStart = append(p.SegmentStart, int32(start))
		p.DropoutKey = append(p.DropoutKey, int32(key+uint32(i)))
	}
	return start
}

func (p *Pack) target(row int, id int32, sequence int32) {
	p.Rows = append(p.Rows, int32(row))
	p.Targets = append(p.Targets, id)
	p.Sequence = append(p.Sequence, sequence)
	p.Tokens[sequence]++
}

// DropoutKey is the key of an example or pair for dropout, from its content.
func DropoutKey(hash [32]byte) uint32 { return binary.LittleEndian.Uint32(hash[:]) }
