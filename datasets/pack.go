package datasets

// Pack is one row of tokens that a decoder runs at once: documents, or pairs
// whose prompt stands once. Query i sees keys in [PrefixStart_i, PrefixEnd_i)
// and in [SegmentStart_i, i]; an empty prefix has start = end = SegmentStart.
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
