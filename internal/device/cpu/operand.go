package cpu

import (
	"align/internal/device"
	"align/internal/half"
)

// operand is one side of a product: vectors of K elements, the rows of a view
// or, if across, its columns.
type operand[E float] struct {
	view   device.View
	across bool
	own    []E // the elements where they are of type E
}

func newOperand[E float](v device.View, across bool) operand[E] {
	o := operand[E]{view: v, across: across}
	if v.Type == typeOf[E]() {
		o.own = device.Slice[E](v)
	}
	return o
}

// length is the number of elements of one vector.
func (o *operand[E]) length() int {
	if o.across {
		return o.view.Rows
	}
	return o.view.Cols
}

// block is elements [k, k+nk) of the vectors [v, v+nv), each vector contiguous,
// ld elements from one to the next: in place where they lie so, else copied
// and widened into buf, which holds nv*blockStride elements.
func (o *operand[E]) block(buf []E, v, nv, k, nk int) (data []E, ld int) {
	if o.own != nil && !o.across {
		cols := o.view.Cols
		return o.own[v*cols+k : (v+nv-1)*cols+k+nk], cols
	}
	if o.across {
		o.transpose(buf, v, nv, k, nk)
	} else {
		for i := range nv {
			widen(buf[i*blockStride:i*blockStride+nk], o.view, (v+i)*o.view.Cols+k)
		}
	}
	return buf, blockStride
}

// transpose turns rows k.. of the view into elements of buf's vectors.
func (o *operand[E]) transpose(buf []E, v, nv, k, nk int) {
	var row [blockRows]E
	for i := range nk {
		at := (k+i)*o.view.Cols + v
		src := row[:nv]
		if o.own != nil {
			src = o.own[at : at+nv]
		} else {
			widen(src, o.view, at)
		}
		for j, x := range src {
			buf[j*blockStride+i] = x
		}
	}
}

// widen copies the elements of a view, not packed, from index at on into dst;
// of a type of blocks they stand in one row.
func widen[E float](dst []E, v device.View, at int) {
	if v.Type.IsBlock() {
		widenBlocks(dst, v, at)
		return
	}
	v.Addr += uintptr(at) * uintptr(v.Type.Size())
	v.Rows, v.Cols = len(dst), 1
	switch v.Type {
	case device.F32:
		src := device.Slice[float32](v)[:len(dst)]
		for i := range dst {
			dst[i] = E(src[i])
		}
	case device.F64:
		src := device.Slice[float64](v)[:len(dst)]
		for i := range dst {
			dst[i] = E(src[i])
		}
	case device.BF16:
		src := device.Slice[uint16](v)[:len(dst)]
		for i := range dst {
			dst[i] = E(half.FromBF16(src[i]))
		}
	case device.F16:
		src := device.Slice[uint16](v)[:len(dst)]
		for i := range dst {
			dst[i] = E(half.FromF16(src[i]))
		}
	}
}
