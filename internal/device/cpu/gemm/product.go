package gemm

import (
	"errors"
	"fmt"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Matrix is a plain matrix, row-major, its rows Stride elements apart. Its
// elements are Data or, of a side that is rounded to bfloat16 already and of a y
// that is, Half.
type Matrix struct {
	Data   []float32
	Half   []uint16
	Stride int
}

// Mask is a matrix of bits, row-major: 32 elements of a row are a word, the first
// lowest, and rows are Stride words apart. No bits are no mask.
type Mask struct {
	Bits   []uint32
	Stride int
}

// address is the address of the word of element (row, col).
func (m Mask) address(row, col int) unsafe.Pointer {
	return unsafe.Pointer(&m.Bits[row*m.Stride+col/kern.Cols])
}

// from is the mask from a row on.
func (m Mask) from(row int) Mask {
	if len(m.Bits) > 0 {
		m.Bits = m.Bits[row*m.Stride:]
	}
	return m
}

// from is the matrix from a row on.
func (m Matrix) from(row int) Matrix {
	switch {
	case m.Half != nil:
		m.Half = m.Half[row*m.Stride:]
	case m.Data != nil:
		m.Data = m.Data[row*m.Stride:]
	}
	return m
}

// len is the number of its elements.
func (m Matrix) len() int { return max(len(m.Data), len(m.Half)) }

// Weight is the right side of a product: Packed if its Data is set, else
// Source if there is one, else the plain matrix. Left, if not nil, is the plain
// matrix as the packed x of an earlier run of the engine: the front of that
// run's shared workspace. Such a matrix is summed over its rows (WAcross), and
// the engine says whether it TurnsLeft.
type Weight struct {
	Packed Packed
	Source Source
	Plain  Matrix
	Left   unsafe.Pointer
	// Kept, if it has bits, is K x N: where it has a 0 the plain matrix counts as 0. It
	// is taken of products that turn w: of an engine that KeepsLeft, M at most TurnRows
	// and N whole TurnCols.
	Kept Mask
}

// Product is one matrix product with what may join it:
//
//	y[M,N] = alpha (x[M,K] w + u[M,R] v) + bias[N]  (+ y)  (+ behind[M,N])
//
// A y in bfloat16 is that rounded, of products that the engine RoundsY of.
// w is N x K and the rows of w are summed over ("NT", the forward product of a
// layer) or, if WAcross, K x N ("NN", the gradient of its input). x is M x K
// or, if XAcross, K x M ("TN", the gradient of a weight, together with
// WAcross). v lies like w: N x R, or R x N.
type Product struct {
	M, N, K    int
	Y          Matrix
	X          Matrix
	XAcross    bool
	W          Weight
	WAcross    bool
	Alpha      float32
	Bias       []float32 // none if empty
	Accumulate bool
	LowRank    LowRank // none if R is 0
	// Behind, if it has data, is added to the whole sum, of products for which the engine
	// AddsBehind. Its rows are as far apart as y's, and it lies apart from them.
	Behind Matrix
	// XPacked says that x is that of the engine's last run, in the same
	// workspace, which still holds its panels at the front: M, K, XAcross and
	// all elements are the same. It is not packed again.
	XPacked bool
	// XPasses says that no later run is XPacked because of this one, which then
	// need not pack x.
	XPasses bool
}

// Rows is the part of the product that makes n rows of y from row on.
func (p *Product) Rows(row, n int) Product {
	q := *p
	q.M, q.Y, q.X = n, p.Y.from(row), p.X.from(row)
	q.LowRank.U, q.Behind = p.LowRank.U.from(row), p.Behind.from(row)
	q.LowRank.XKept, q.LowRank.Kept = p.LowRank.XKept.from(row), p.LowRank.Kept.from(row)
	return q
}

// LowRank is the second product of a LoRA layer (equation 3 of
// https://arxiv.org/abs/2106.09685), of rank R. If Down has data, the engine
// computes u = Scale x down from the x it has packed and writes it to U; Down
// lies like w: R x K, or K x R. Else U is given.
type LowRank struct {
	R     int
	U     Matrix // M x R
	V     Matrix // N x R, or R x N
	Down  Matrix
	Scale float32
	// XKept, if it has bits, is M x K: u takes x where it has a 1. The engine says
	// whether it KeepsX.
	XKept Mask
	// Kept, if it has bits, is M x N: u v is added behind the whole sum, KeptScale
	// times, where it has a 1. Alpha is 1 then, and the rows of w are summed over.
	Kept      Mask
	KeptScale float32
}

// drops says whether u v joins where a mask has a 1.
func (l *LowRank) drops() bool { return l.R > 0 && len(l.Kept.Bits) > 0 }

// dropsX says whether u takes x where a mask has a 1.
func (l *LowRank) dropsX() bool { return l.computesU() && len(l.XKept.Bits) > 0 }

// computesU says whether u comes from x.
func (l *LowRank) computesU() bool { return l.R > 0 && len(l.Down.Data) > 0 }

// check finds every fault of a product; type is the engine's.
func (p *Product) check(e *Engine) error {
	var c checker
	if p.M < 0 || p.N < 1 || p.K < 1 || p.LowRank.R < 0 {
		return fmt.Errorf("gemm: product of M=%d N=%d K=%d R=%d: want N and K of at least 1", p.M, p.N, p.K, p.LowRank.R)
	}
	c.matrix("y", p.Y, p.M, p.N, false)
	c.matrix("x", p.X, p.M, p.K, p.XAcross)
	c.half("x", p.X, e)
	if len(p.Bias) > 0 && len(p.Bias) < p.N {
		c.failf("bias has %d elements: want %d", len(p.Bias), p.N)
	}
	if l := &p.LowRank; l.R > 0 {
		c.matrix("u", l.U, p.M, l.R, false)
		c.matrix("v", l.V, p.N, l.R, p.WAcross)
		if l.computesU() {
			c.matrix("down", l.Down, l.R, p.K, p.WAcross)
		}
		if l.drops() {
			c.mask("kept", l.Kept, p.M, p.N)
			if p.Alpha != 1 || !p.WAcross {
				c.failf("u v joins what was kept: want alpha 1 and sums over the rows of w")
			}
		}
	}
	if p.LowRank.dropsX() {
		c.mask("the mask of x", p.LowRank.XKept, p.M, p.K)
	}
	if len(p.W.Kept.Bits) > 0 {
		c.mask("the mask of w", p.W.Kept, p.K, p.N)
	}
	p.checkWeight(&c, e)
	return errors.Join(c.errs...)
}

func (p *Product) checkWeight(c *checker, e *Engine) {
	w := &p.W.Packed
	if w.Data == nil && p.W.Source != nil {
		return
	}
	if w.Data == nil {
		c.matrix("w", p.W.Plain, p.N, p.K, p.WAcross)
		if c.half("w", p.W.Plain, e); p.W.Plain.Half != nil && !p.WAcross {
			c.failf("w is of bfloat16: want it summed over its rows")
		}
		if p.W.Left != nil && (!p.WAcross || p.LowRank.R > 0) {
			c.failf("w is the panels of a left side: want a product that sums over its rows, without a low-rank part")
		}
		return
	}
	n, k := p.N, p.K
	if p.WAcross {
		n, k = k, n
	}
	if w.N != n || w.K != k {
		c.failf("the packed weight is %dx%d: want %dx%d", w.N, w.K, n, k)
	}
	if w.Type != device.BF16 && w.Type != e.typ {
		c.failf("the packed weight is %s: want bf16 or the engine's %s", w.Type, e.typ)
	}
}

// checker gathers the faults of a product.
type checker struct{ errs []error }

func (c *checker) failf(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("gemm: "+format, args...))
}

// matrix checks that m holds rows x cols elements, or cols x rows if across.
func (c *checker) matrix(name string, m Matrix, rows, cols int, across bool) {
	if across {
		rows, cols = cols, rows
	}
	if rows == 0 || cols == 0 {
		return
	}
	if m.Stride < cols || m.len() < (rows-1)*m.Stride+cols {
		c.failf("%s has %d elements in rows of %d: want %dx%d", name, m.len(), m.Stride, rows, cols)
	}
}

// mask checks that m holds rows x cols bits.
func (c *checker) mask(name string, m Mask, rows, cols int) {
	if words := kern.MaskWords(cols); m.Stride < words || rows > 0 && len(m.Bits) < (rows-1)*m.Stride+words {
		c.failf("%s has %d words in rows of %d: want %dx%d bits", name, len(m.Bits), m.Stride, rows, cols)
	}
}

// half checks a side that may be of bfloat16.
func (c *checker) half(name string, m Matrix, e *Engine) {
	if m.Half != nil && (e.typ != device.BF16 || m.Stride%e.tiles.SideCols != 0) {
		c.failf("%s is of bfloat16 in rows of %d: want products of bf16, and rows of a multiple of %d", name, m.Stride, max(1, e.tiles.SideCols))
	}
}
