package gemm

import (
	"fmt"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
	"align/internal/half"
)

// ReadRows fills dst with the bytes of rows [row, row+n), row-major.
type ReadRows func(dst []byte, row, n int) error

// Pack fills w from rows of type from: F32, BF16 or F16. It reads the rows in
// ascending order, 32 at a time, and keeps no other copy; a type that differs
// from w's is converted, to nearest even.
func Pack(set *kern.Set, w Packed, from device.Type, read ReadRows) error {
	if err := w.check(); err != nil {
		return err
	}
	if from != device.F32 && from != device.BF16 && from != device.F16 {
		return fmt.Errorf("gemm: pack rows of type %s: want f32, bf16 or f16", from)
	}
	p := newPacker(set, w, from)
	for row := 0; row < w.N; row += kern.Cols {
		n := min(kern.Cols, w.N-row)
		if err := read(p.raw[:n*p.rawStride], row, n); err != nil {
			return fmt.Errorf("rows %d to %d: %w", row, row+n, err)
		}
		p.panel(row/kern.Cols, n)
	}
	return nil
}

// packer turns 32 rows at a time into a panel.
type packer struct {
	set       *kern.Set
	w         Packed
	from      device.Type
	raw       []byte // rows as they are read
	rawStride int
	rows      []uint32  // rows in w's type, filled up to whole words
	wide      []float32 // a row on its way to another type
	table     [kern.MaxLanes]unsafe.Pointer
}

func newPacker(set *kern.Set, w Packed, from device.Type) *packer {
	stride := w.K * from.Size()
	return &packer{
		set: set, w: w, from: from,
		raw: make([]byte, kern.Cols*stride), rawStride: stride,
		rows: make([]uint32, kern.Cols*w.words()),
		wide: make([]float32, w.K),
	}
}

// panel packs the n rows that were read, and zeros for the others.
func (p *packer) panel(j, n int) {
	clear(p.rows[n*p.w.words():])
	for i := range n {
		p.convert(p.row(i), p.raw[i*p.rawStride:][:p.rawStride])
	}
	lanes := p.set.F32.Lanes
	for col := 0; col < kern.Cols; col += lanes {
		for i := range lanes {
			p.table[i] = unsafe.Pointer(unsafe.SliceData(p.row(col + i)))
		}
		dst := unsafe.Add(p.w.panel(j, 0), 4*col)
		p.set.Words(dst, unsafe.Pointer(&p.table), p.w.words(), kern.Stride)
	}
}

func (p *packer) row(i int) []uint32 { return p.rows[i*p.w.words():][:p.w.words()] }

// convert writes the elements of a row as w's type.
func (p *packer) convert(to []uint32, raw []byte) {
	if p.from == p.w.Type {
		copy(elements[byte](to), raw)
		return
	}
	wide := p.wide
	if p.w.Type == device.F32 {
		wide = elements[float32](to)
	}
	switch p.from {
	case device.F32:
		copy(wide, elements[float32](raw))
	case device.BF16:
		p.set.FromBF16(wide, elements[uint16](raw))
	case device.F16:
		for i, h := range elements[uint16](raw) {
			wide[i] = half.FromF16(h)
		}
	}
	if p.w.Type == device.BF16 {
		p.set.ToBF16(elements[uint16](to)[:p.w.K], wide)
	}
}

// elements is the memory of x as elements of another size.
func elements[E, F any](x []F) []E {
	var e E
	var f F
	return unsafe.Slice((*E)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(f))/int(unsafe.Sizeof(e)))
}
