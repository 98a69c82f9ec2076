package kern

import "unsafe"

const (
	// TurnRows is the most rows of a Turn's A, TurnCols its columns.
	TurnRows = 16
	TurnCols = 2 * Cols
	// TurnWork is the bytes of a Turn's workspace.
	TurnWork = 8 << 10
)

// Turn is c = a b, or c += that if Add is not 0, where K runs over the rows of
// panels of a left side that follow each other BNext bytes apart, each of 32 rows,
// and B is TurnCols elements of their rows, from a multiple of 32 on: the product
// of a weight's gradient with a side that is packed already. A is a panel of Rows
// rows, at most TurnRows, and C TurnRows*TurnCols float32 that TurnedIn and
// TurnedOut copy from and to rows. A sum has the bits of a tile's whose right side
// is those pairs. With BRow, B is columns of plain rows of bfloat16 that are BRow
// bytes apart, and BNext is that of 32 of them.
type Turn struct {
	Rows, Panels, BNext, Add int
	BRow                     int
	A, B, C, Work            unsafe.Pointer
	// Mask, if there is one, has rows of bits MaskRow bytes apart, one for each of B:
	// its elements count where they are 1.
	Mask    unsafe.Pointer
	MaskRow int
}
