package kern

import (
	"unsafe"

	"align/internal/device/cpu/feature"
)

const (
	// Cols is the number of columns of a tile and of a panel of B.
	Cols = 32
	// MaxRows is the number of rows of the tallest tile.
	MaxRows = 32
	// FewRows is the columns of Products.Few.
	FewRows = 16
	// ThinCols is the columns of Products.Thin.
	ThinCols = 16
	// OuterCols is the columns of Products.Outer's u, and of x in a group.
	OuterCols = 16
	// MaxLanes is the number of rows that PackRows takes at most at a time.
	MaxLanes = 16
	// MaxDepth is the largest Depth.
	MaxDepth = 16
	// Stride is the distance of the rows of a panel of B in bytes.
	Stride = 4 * Cols
	// LowWords is the most words of K that LowKept is for.
	LowWords = 16
	// Slack is how many bytes behind a panel of A its packers may write.
	Slack = 4 * MaxLanes
	// Onward is add of a Tile whose sums begin with c, so that a sum over K may be
	// cut and keep its bits. Alpha is 1 and Depth too.
	Onward = -1
	// NextBytes is how many bytes a tile prefetches for each of its words.
	NextBytes = 16
	// EagerBytes is that of an eager tile.
	EagerBytes = 64
)

// Tile computes c = alpha a b, or c += alpha a b if add is more than 0: a has k words
// for each row, b k words for each of 32 columns, and rows of c are ldc bytes
// apart. An element has one accumulator and k ascends. On its way it brings
// NextBytes for each word from next on into the second cache; next need not be
// memory of the program.
type Tile func(k int, a, b, c unsafe.Pointer, ldc int, alpha float32, add int, next unsafe.Pointer)

// PackRows writes word k of Lanes rows, whose addresses rows lists, at
// dst+k*stride, for n elements of K from rows of float32.
type PackRows func(dst, rows unsafe.Pointer, n, stride int)

// PackColumns takes n rows, srcStride bytes apart, of cols float32 (at most
// Lanes) as elements along K and writes their words at dst+k*dstStride. It
// writes Lanes words, those past cols 0.
type PackColumns func(dst, src unsafe.Pointer, n, srcStride, cols, dstStride int)

// PackPanels takes n rows, srcStride bytes apart, of Cols float32 for each of so many
// panels as elements along K and writes them to panels of B dstStep bytes apart.
type PackPanels func(dst, src unsafe.Pointer, n, srcStride, panels, dstStep int)

// Plain is a Tile of alpha 1 for a left side that lies plainly: its rows, or those of which
// they are columns, are aStep bytes apart.
type Plain func(k int, a unsafe.Pointer, aStep int, b, c unsafe.Pointer, ldc, add int)

// Strip is a Tile that goes over several panels of b, bStep bytes apart, and
// writes 32 columns of c for each.
type Strip func(k int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int)

// LeftRows packs a panel of A from the rows of float32 whose addresses rows
// lists, n elements of each.
type LeftRows func(dst, rows unsafe.Pointer, n, lanes int)

// Flip turns n blocks of 32 elements of K, which follow each other in a
// panel of B, by a transposition: block i becomes 32 columns of a panel at
// dst+i*dstStep, whose K is what the columns were. It prefetches as many bytes
// from src+ahead on.
type Flip func(dst, src unsafe.Pointer, n, dstStep, ahead int)

// Products is the functions for products of one type of element.
type Products struct {
	// Rows is the height of the tallest tile, 0 where the level has no such
	// products.
	Rows int
	// Depth is the words of K that a panel of A is filled up to with zeros: 1
	// where it is [K words][rows], else it is [K words/Depth][rows][Depth].
	Depth int
	// PerWord is the number of elements of K in a word.
	PerWord int
	// SideCols is what the width of a matrix of bfloat16 is a multiple of.
	SideCols int
	// Lanes is the number of rows or columns that the packers take at a time.
	Lanes int
	// TaskPanels is how many panels of B stay in the second cache while panels of A
	// pass over them, where that is not the usual number.
	TaskPanels int
	// Tile is the tiles by their number of rows, from 1.
	Tile [MaxRows + 1]Tile
	// Eager, where the level has them, is tiles that bring EagerBytes for each word
	// instead of NextBytes; they know no Onward.
	Eager [MaxRows + 1]Tile
	// Wide, where the level has them, is tiles of float32 whose b is pairs of bfloat16:
	// they have the bits of the tiles on the widened panel. k is even. They bring as
	// many bytes as b has.
	Wide [MaxRows + 1]Tile
	// rows and columns, where the level has them, are tiles of a left side that is not
	// packed: so many rows, or columns.
	rows, columns [MaxRows + 1]Plain
	// strip is their strips, nil where a Tile serves for each panel.
	strip [MaxRows + 1]Strip
	// sweep is the functions of Sweep by their number of rows.
	sweep [MaxRows + 1]sweep
	// sweepRows is those of plain rows.
	sweepRows   [MaxRows + 1]sweepRows
	PackRows    PackRows
	PackColumns PackColumns
	// PackPanels, where the level has one, is PackColumns for whole panels.
	PackPanels PackPanels
	// leftRows and leftColumns pack panels of A where Depth is more than 1.
	leftRows    LeftRows
	leftColumns PackColumns
	// leftHalf is leftRows of rows that are bfloat16 already, n a multiple of 32.
	leftHalf LeftRows
	// Span runs a Span of SpanRows rows or more; nil where the level has none.
	Span     func(*Span)
	SpanRows int
	// TilesOut copies tiles of a Span's c to rows that are ldc bytes apart, TilesOutHalf
	// to rows of bfloat16, and TilesIn the other way.
	TilesOut, TilesOutHalf, TilesIn func(c unsafe.Pointer, ldc int, tiles unsafe.Pointer, rows, panels int)
	// TilesOutBehind is TilesOut of sums with what lies behind bytes behind c.
	TilesOutBehind func(c unsafe.Pointer, ldc int, tiles unsafe.Pointer, rows, panels, behind int)
	// RoundTile, where the level has one, is y = c rounded to bfloat16, for rows of a tile
	// of Cols float32 that follow each other; those of y are yRow bytes apart.
	RoundTile func(y unsafe.Pointer, yRow int, c unsafe.Pointer, rows int)
	// Few, where the level has one, is c = a b, or c += a b if add is not 0, for
	// up to FewRows columns: a is Cols rows of elements aStride bytes apart, k
	// words long, a multiple of Depth; b is [k][FewRows] words and c Cols rows of
	// FewRows float32. A sum has the bits of Tile's.
	Few func(k int, a unsafe.Pointer, aStride int, b, c unsafe.Pointer, add int)
	// Thin, where the level has one, is Tile for two panels of A of Rows rows,
	// aNext bytes apart, and the first ThinCols columns of a panel of B; k is a
	// multiple of Depth. c is 2*Rows rows of ThinCols float32. A sum has the bits of
	// Tile's.
	Thin func(k int, a unsafe.Pointer, aNext int, b, c unsafe.Pointer, alpha float32, add int)
	// ThinRows is Thin for 2*Rows plain rows of bfloat16, aRow bytes apart.
	ThinRows func(k int, a unsafe.Pointer, aRow int, b, c unsafe.Pointer, alpha float32, add int)
	// Outer, where the level has one, is c = u' x, or c += that if add is not 0, for n
	// rows of float32, xRow bytes apart: u is their words of OuterCols columns, as
	// PackColumns writes them, one behind the other. It takes so many groups of OuterCols
	// columns of x; each has OuterCols rows of c. A sum has the bits of Tile's and may be
	// cut behind any word. OuterHalf is Outer for x in bfloat16.
	Outer, OuterHalf func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int)
	// OuterKept, where the level has one, is Outer for x in the type that the products round
	// it to, where the mask has a 1: rows of the mask are maskRow bytes apart.
	OuterKept func(n int, x unsafe.Pointer, xRow int, mask unsafe.Pointer, maskRow int, u, c unsafe.Pointer, groups, add int)
	// OuterNext, where the level has KeepRows, is Outer for an x in the first cache. It
	// brings in as many rows and columns from next on, nextRow bytes apart; next need not
	// be memory of the program.
	OuterNext func(n int, x unsafe.Pointer, xRow int, u, c unsafe.Pointer, groups, add int, next unsafe.Pointer, nextRow int)
	// Turn runs a Turn; nil where the level has none. TurnedOut is c = alpha t, or
	// c += that if add is not 0, from a Turn's c to rows of TurnCols float32, ldc
	// bytes apart, and TurnedIn copies the other way.
	Turn      func(*Turn)
	TurnedOut func(c unsafe.Pointer, ldc int, t unsafe.Pointer, rows int, alpha float32, add int)
	TurnedIn  func(c unsafe.Pointer, ldc int, t unsafe.Pointer, rows int)
	// KeepLeft, where the level has one, is y = x for steps of a left side of n rows
	// where the mask has a 1, else 0. A step is Cols elements, a word of the mask,
	// whose rows are maskStride bytes apart.
	KeepLeft func(y, x, mask unsafe.Pointer, maskStride, n, steps int)
	// KeepPanel, where the level has one, is y = x for so many words of a panel of A of Depth
	// 1 where the masks have a 1, else 0; row is the bytes of a word of all rows. masks is the
	// rows' words of Cols elements as Words brings them side by side, MaxLanes of them. It
	// may write Slack behind y.
	KeepPanel func(y, x, masks unsafe.Pointer, row, words int)
	// LowKept, where the level has one, is c += scale a b where the mask has a 1, for a panel
	// of A of so many rows and Cols columns: what Tile and AddKept give. k is at least 1, and
	// small: more than LowWords are slower than both.
	LowKept func(k int, a unsafe.Pointer, rows int, b, c unsafe.Pointer, ldc int, mask unsafe.Pointer, maskRow int, scale float32)
	// KeepRows, where the level has one, brings rows of so many words of Cols float32,
	// xRow bytes apart, side by side: x where the mask has a 1, else 0, and x itself where
	// mask is nil.
	KeepRows func(y, x unsafe.Pointer, xRow int, mask unsafe.Pointer, maskRow, rows, words int)
	// ThinKept is Thin for 2*Rows plain rows of float32, aRow bytes apart, whose sums go on
	// with c if add is not 0. k is a multiple of Cols.
	ThinKept func(k int, a unsafe.Pointer, aRow int, b, c unsafe.Pointer, add int)
	// Flip takes panels of this type.
	Flip Flip
	// Peak runs n rounds of multiplications in registers alone and PeakFlops
	// is the floating point operations of a round: the rate to compare with.
	Peak      func(n int)
	PeakFlops int
}

// Set is the functions of one level.
type Set struct {
	Level feature.Level
	// F32 is products of float32, BF16 of bfloat16 summed in float32.
	F32, BF16 Products
	// Words is F32.PackRows on rows of words of any kind: pairs of bfloat16
	// that lie in a row already.
	Words PackRows
	// Widen turns n rows of 32 pairs of bfloat16 into 2n rows of 32 float32.
	Widen func(dst, src unsafe.Pointer, n int)
	// Join turns n rows of 32 bfloat16, srcStride bytes apart, into rows of their
	// pairs along n; a missing last row is 0.
	Join func(dst, src unsafe.Pointer, n, srcStride, dstStride int)
	// FlipWiden is F32's Flip on blocks of pairs of bfloat16.
	FlipWiden Flip

	// Floats decodes weights that are stored in blocks to float32, to the bits of
	// their formats' readers, and Halves to bfloat16, which is that rounded.
	Floats, Halves Decoders
	// Q8_0 and the others decode such weights as a product meets them.
	Q8_0, Q4_0, NF4, Q4_K, Q6_K, Int8 InBlocks

	vectors
	flash []Flash // by D
	// weighRows is WeighRows, gradPairs GradPairs and finishRows FinishRows.
	weighRows  func(scores unsafe.Pointer, rowBytes int, rows unsafe.Pointer, n, fill int, scale float32)
	gradPairs  func(s, dp, p, ds unsafe.Pointer, rowBytes int, rows unsafe.Pointer, pairs int, scale float32)
	finishRows func(o unsafe.Pointer, rowBytes int, out unsafe.Pointer, n, rows int, largest, sums, lse unsafe.Pointer)
	// gradStrips is GradStrips.
	gradStrips func(list unsafe.Pointer, n int)
	// leftColumnsHalf packs 16 lanes of PackLeftColumnsHalf.
	leftColumnsHalf func(dst, src unsafe.Pointer, n, srcStride, dstStride int)
	// gradScores is GradScores by the columns of a head, gradConfig its tiles.
	gradScores map[int]gradScores
	gradConfig unsafe.Pointer
	// gradWeights is attention's backward pass between its products.
	gradWeights func(s, dp, p, ds, pairs, rows unsafe.Pointer, panels, keyPairs, blockBytes, pairsStep, key int, log, scale float32)
}

// New is the functions of a level, which the machine must have.
func New(level feature.Level) *Set {
	s := generic()
	s.raise(level)
	s.Level = level
	return s
}
