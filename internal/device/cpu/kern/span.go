package kern

import "unsafe"

// Span is c = a b + lowA lowB for a panel of A and panels of B side by side, or
// c += that if Add is not 0: what tiles with alpha 1 give, the second product
// after the first. Tiles of c follow each other, TileBytes apart, each of rows of
// 32 float32. K and LowK are words, multiples of the products' Depth; BStep and
// LowStep are the bytes from a panel of B to the next. On its way it copies
// OutRows rows of finished tiles, as many as Panels, from Tiles to Out, where they
// stand side by side in rows LDC bytes apart, past the caches, so that both Out
// and LDC are multiples of 64; Half rounds them to bfloat16, and with a Behind
// they are sums with the float32 that lie so many bytes behind Out. The products hide that;
// TilesOut and TilesOutHalf order it before what other threads read.
//
// It also brings to the second cache what comes next, with each step of a panel a part:
// as many bytes from Next on as A has, at most SpanAhead a step, nil for none; and
// SpanAhead bytes that lie Ahead bytes behind those of B, 0 for none.
type Span struct {
	Rows, K, LowK             int
	A, B, LowA, LowB, Next    unsafe.Pointer
	BStep, LowStep, Ahead     int
	C, Out, Tiles             unsafe.Pointer
	LDC, OutRows, Panels, Add int
	Behind                    int
	Half                      bool
}

// outBytes is those of a row of a tile in Out.
func (s *Span) outBytes() int {
	if s.Half {
		return Stride / 2
	}
	return Stride
}

const (
	// SpanStep is the bytes of a panel of B that a Span takes at a time.
	SpanStep = 16 * Stride
	// SpanAhead is how many bytes it brings in with each, for the next span and for later
	// ones.
	SpanAhead = 4 * 64
)

// TileBytes is the distance of the tiles of a Span's c.
const TileBytes = MaxRows * Stride
