package kern

import "unsafe"

// A mask has a bit for each element of a row, the first lowest, which is 1 where the
// element is kept.

// MaskWords is the words of a mask's row.
func MaskWords(columns int) int { return (columns + Cols - 1) / Cols }

// Kept is c += scale low for Rows rows of Cols columns, where the mask has a 1. Rows
// of C are LDC bytes apart, those of Mask MaskStride, and those of Low Stride.
type Kept struct {
	C, Low, Mask    unsafe.Pointer
	LDC, MaskStride int
	Rows            int
	Scale           float32
}

// AddKept does what k says for the first columns of the rows, at most Cols.
func (s *Set) AddKept(k *Kept, columns int) {
	if columns < Cols {
		addKeptGeneric(k, columns)
		return
	}
	s.addKept(k.C, k.LDC, k.Low, k.Mask, k.MaskStride, k.Rows, k.Scale)
}

func addKeptGeneric(k *Kept, columns int) {
	for i := range k.Rows {
		c, low, bits := floats(at(k.C, i*k.LDC), columns), floats(at(k.Low, i*Stride), columns), *(*uint32)(at(k.Mask, i*k.MaskStride))
		for j := range c {
			if bits>>j&1 == 1 {
				c[j] += k.Scale * low[j]
			}
		}
	}
}

func addKeptFloats(c unsafe.Pointer, ldc int, low, mask unsafe.Pointer, maskStride, rows int, scale float32) {
	addKeptGeneric(&Kept{C: c, LDC: ldc, Low: low, Mask: mask, MaskStride: maskStride, Rows: rows, Scale: scale}, Cols)
}

// Keep is y = x where the mask has a 1, else 0.
func (s *Set) Keep(y, x []float32, mask []uint32) {
	whole := len(y) / Cols
	if whole > 0 {
		s.keep(first(y, len(y)), first(x, len(y)), first(mask, whole), whole)
	}
	if rest := y[whole*Cols:]; len(rest) > 0 {
		KeepRow(rest, x[whole*Cols:], mask[whole:])
	}
}

// KeepHalf is Keep of bfloat16.
func (s *Set) KeepHalf(y, x []uint16, mask []uint32) {
	whole := len(y) / Cols
	if whole > 0 && s.keepHalf != nil {
		s.keepHalf(first(y, len(y)), first(x, len(y)), first(mask, whole), whole)
	} else {
		whole = 0
	}
	if rest := y[whole*Cols:]; len(rest) > 0 {
		KeepRow(rest, x[whole*Cols:], mask[whole:])
	}
}

// KeepRow is Keep in portable Go, of any elements.
func KeepRow[E any](y, x []E, mask []uint32) {
	var zero E
	for j := range y {
		y[j] = zero
		if mask[j/Cols]>>(j%Cols)&1 == 1 {
			y[j] = x[j]
		}
	}
}

func keepFloats(y, x, mask unsafe.Pointer, words int) {
	KeepRow(floats(y, words*Cols), floats(x, words*Cols), unsafe.Slice((*uint32)(mask), words))
}
