package cpu

import "align/internal/device"

// products is what the kernels need of a level of machine code: portable here;
// a level with packed weights and assembly puts its own in this place. The
// methods use the pool and return when y is written; the shared workspace is
// the caller's, which may keep an operand there.
type products[E float] interface {
	nt(p *product[E]) error
	nn(p *product[E]) error
	tn(p *product[E]) error
	// rounded is the type that both sides are rounded to, and sideCols what the width of
	// one of that type is a multiple of.
	rounded() device.Type
	sideCols() int
	// keeps says whether tn takes the product's mask.
	keeps(p *product[E]) bool
}

// sideType is the type that a side x of a product is checked for: E or, in rows of such a
// width, what it is rounded to.
func sideType[E float](p products[E], x device.View) device.Type {
	if x.Type == p.rounded() && x.Cols%p.sideCols() == 0 {
		return x.Type
	}
	return typeOf[E]()
}

// product is one matrix product with what may follow it:
//
//	nt:  y[M,N] = alpha (x[M,K] w[N,K]' + u[M,R] v[N,R]') + bias[N]  (+ y)
//	nn:  y[M,N] = alpha (x[M,K] w[K,N]  + u[M,R] v[R,N] ) + bias[N]  (+ y)
//	tn:  y[M,N] = alpha  x[K,M]' w[K,N]                   + bias[N]  (+ y)
//
// An element is summed over K in blocks that begin at 0, each block in
// ascending order, the blocks in ascending order, then the rank-R part.
type product[E float] struct {
	y device.View // M x N of type E
	x device.View // of type E, or of a sideType
	w device.View // a placed weight, or a plain view of type E
	// window is the range of w's rows that takes part, of w.Rows if empty: the
	// head walks over the vocabulary with it.
	windowStart, windowRows int
	u, v                    device.View // both of type E; Addr 0: no such part
	bias                    device.View // Addr 0: none
	mask                    device.View // of w, of tn where keeps says so: Addr 0: none
	alpha                   E
	accumulate              bool
}

// rows is the part of w that takes part.
func (p *product[E]) rows() device.View {
	if p.windowRows == 0 {
		return p.w
	}
	return p.w.Row(p.windowStart, p.windowRows)
}
