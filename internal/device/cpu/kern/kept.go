package kern

import "unsafe"

// Kept is c += scale low for Rows rows of Cols columns, where Dropout kept the
// element of Mask, which is its y in float32 or, if Half, in bfloat16. Rows of C are
// LDC bytes apart, those of Mask MaskStride, and those of Low Stride.
type Kept struct {
	C, Low, Mask    unsafe.Pointer
	LDC, MaskStride int
	Rows            int
	Scale           float32
	Half            bool
}

// AddKept does what k says for the first columns of the rows, at most Cols.
func (s *Set) AddKept(k *Kept, columns int) {
	switch {
	case columns < Cols:
		addKeptGeneric(k, columns)
	case k.Half:
		s.addKeptHalf(k.C, k.LDC, k.Low, k.Mask, k.MaskStride, k.Rows, k.Scale)
	default:
		s.addKept(k.C, k.LDC, k.Low, k.Mask, k.MaskStride, k.Rows, k.Scale)
	}
}

func addKeptGeneric(k *Kept, columns int) {
	for i := range k.Rows {
		c, low := floats(at(k.C, i*k.LDC), columns), floats(at(k.Low, i*Stride), columns)
		for j := range c {
			if k.keeps(i, j) {
				c[j] += k.Scale * low[j]
			}
		}
	}
}

// keeps says whether an element is not -0.
func (k *Kept) keeps(row, column int) bool {
	from := at(k.Mask, row*k.MaskStride)
	if k.Half {
		return *(*uint16)(at(from, 2*column)) != 1<<15
	}
	return *(*uint32)(at(from, 4*column)) != 1<<31
}

func addKeptFloats(c unsafe.Pointer, ldc int, low, mask unsafe.Pointer, maskStride, rows int, scale float32) {
	addKeptGeneric(&Kept{C: c, LDC: ldc, Low: low, Mask: mask, MaskStride: maskStride, Rows: rows, Scale: scale}, Cols)
}

func addKeptHalves(c unsafe.Pointer, ldc int, low, mask unsafe.Pointer, maskStride, rows int, scale float32) {
	addKeptGeneric(&Kept{C: c, LDC: ldc, Low: low, Mask: mask, MaskStride: maskStride, Rows: rows, Scale: scale, Half: true}, Cols)
}
