package cpu

import (
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/gemm"
	"align/internal/device/cpu/kern"
)

// viewSource is a plain weight of a type that has no panels, binary16, float64
// and the types of blocks: a product reads it piece by piece.
type viewSource struct {
	w   device.View
	set *kern.Set
}

// Block is the elements of a block.
func (s *viewSource) Block() int { return max(32, s.w.Type.BlockSize()) }

// Read writes a piece as float32.
func (s *viewSource) Read(dst []float32, p gemm.Piece) {
	if s.decode(unsafe.Pointer(unsafe.SliceData(dst)), 4, &s.set.Floats, &p) {
		return
	}
	for i := range p.Rows {
		widen(dst[i*p.Stride:][:p.Cols], s.w, (p.Row+i)*s.w.Cols+p.Col)
	}
}

// ReadHalf writes a piece as bfloat16.
func (s *viewSource) ReadHalf(dst []uint16, p gemm.Piece, wide []float32) {
	if s.decode(unsafe.Pointer(unsafe.SliceData(dst)), 2, &s.set.Halves, &p) {
		return
	}
	wide = wide[:p.Cols]
	for i := range p.Rows {
		widen(wide, s.w, (p.Row+i)*s.w.Cols+p.Col)
		s.set.ToBF16(dst[i*p.Stride:][:p.Cols], wide)
	}
}

// decode decodes a piece of whole blocks to elements of the given size by the
// level's functions, where it has one for the type.
func (s *viewSource) decode(dst unsafe.Pointer, size int, d *kern.Decoders, p *gemm.Piece) bool {
	run, block, offset := decoderOf(d, s.w.Type), s.w.Type.BlockSize(), s.w.Type.RowBytes(p.Col)
	if s.w.Type == device.Int8 {
		block = 32
	}
	if run == nil || p.Col%block != 0 || p.Cols%block != 0 || p.Cols == 0 {
		return false
	}
	step := int(s.w.Type.RowBytes(s.w.Cols))
	if s.w.Type == device.Int8 {
		offset = int64(int8Header + p.Col)
	}
	src := unsafe.Add(pointer(s.w.Row(p.Row, 1).Addr), offset)
	run(dst, src, p.Cols/block, p.Rows, size*p.Stride, step, p.Rows*step, int(offset))
	return true
}

// Packs and Multiplies say what the level does with blocks of the type in
// registers.
func (s *viewSource) Packs(half bool) bool { return s.packs(half) != nil }

func (s *viewSource) packs(half bool) kern.PackBlocks {
	if half {
		return s.inBlocks().Pack
	}
	return s.inBlocks().PackFloat
}

// Multiplies says whether there is a direct product of so many rows.
func (s *viewSource) Multiplies(half bool, rows int) bool {
	most := s.inBlocks().FloatRows
	return s.direct(half) != nil && (half || most == 0 || rows <= most)
}

func (s *viewSource) direct(half bool) kern.Direct {
	if half {
		return s.inBlocks().Direct
	}
	return s.inBlocks().DirectFloat
}

// Multiply adds the products of DirectRows rows and a panel of m rows to c.
func (s *viewSource) Multiply(half bool, c, x unsafe.Pointer, m int, p gemm.Piece, work *kern.DirectWork) {
	src, n, step := s.blocks(p, work)
	work.Ahead = s.ahead(p)
	s.direct(half)(c, x, src, n, step, m, work)
}

// ahead is how far behind a piece's first block its share of the next rows' memory begins,
// where these are read front to back.
func (s *viewSource) ahead(p gemm.Piece) int {
	return p.Rows*s.RowBytes() + (p.Rows-1)*int(s.w.Type.RowBytes(p.Col))
}

// MultipliesFew says whether the level multiplies blocks of the type by few rows.
func (s *viewSource) MultipliesFew() bool { return s.inBlocks().Few != nil }

// RowBytes is the bytes of a row.
func (s *viewSource) RowBytes() int { return int(s.w.Type.RowBytes(s.w.Cols)) }

// MultiplyFew is c = x w, or c += that, for some rows of w and m of x.
func (s *viewSource) MultiplyFew(c, x unsafe.Pointer, m, add int, rows gemm.FewRows, work *kern.DirectWork, space unsafe.Pointer) {
	src, step := pointer(s.w.Row(rows.First, 1).Addr), s.RowBytes()
	run, n := s.inBlocks().Few, s.w.Cols/s.Block()
	apart, next := rows.Apart*step, rows.Next*step
	if s.w.Type != device.Int8 {
		run(c, x, src, n, apart, next, rows.Groups, m, add, work, space)
		return
	}
	for range rows.Groups {
		for i := range kern.FewGroup {
			work.Scales[i] = *(*float32)(unsafe.Add(src, i*apart)) / 127
		}
		run(c, x, unsafe.Add(src, int8Header), n, apart, next, 1, m, add, work, space)
		src, c = unsafe.Add(src, next), unsafe.Add(c, 4*kern.FewGroup*m)
	}
}

// Pack writes a panel of DirectRows rows.
func (s *viewSource) Pack(half bool, dst unsafe.Pointer, p gemm.Piece, work *kern.DirectWork) {
	src, n, step := s.blocks(p, work)
	s.packs(half)(dst, src, n, step, work)
}

// Make begins with rows of a piece.
func (s *viewSource) Make(p gemm.Piece, second bool, work *kern.DirectWork) kern.Making {
	src, _, step := s.blocks(p, work)
	if second {
		src = unsafe.Add(src, step*kern.DirectRows/2)
	}
	return kern.Making{Src: src, SrcStep: step, Work: work, Second: second}
}

// Span is a span that goes on with them.
func (s *viewSource) Span(span *kern.Span, m *kern.Making, across bool) {
	run := s.inBlocks().Span
	if across {
		run = s.inBlocks().SpanAcross
	}
	run(span, m)
}

// blocks is where a piece begins, the blocks of a row of it and the distance of
// rows. Of Int8 it fills the scales in.
func (s *viewSource) blocks(p gemm.Piece, work *kern.DirectWork) (src unsafe.Pointer, n, step int) {
	row, step := pointer(s.w.Row(p.Row, 1).Addr), int(s.w.Type.RowBytes(s.w.Cols))
	if s.w.Type != device.Int8 {
		return unsafe.Add(row, s.w.Type.RowBytes(p.Col)), p.Cols / s.w.Type.BlockSize(), step
	}
	for i := range p.Rows {
		work.Scales[i] = *(*float32)(unsafe.Add(row, i*step)) / 127
	}
	return unsafe.Add(row, int8Header+p.Col), p.Cols / 32, step
}

// inBlocks is empty for a type that has no such functions.
func (s *viewSource) inBlocks() kern.InBlocks {
	switch s.w.Type {
	case device.Int8:
		return s.set.Int8
	case device.Q8_0:
		return s.set.Q8_0
	case device.Q4_0:
		return s.set.Q4_0
	case device.NF4:
		return s.set.NF4
	case device.Q4_K:
		return s.set.Q4_K
	case device.Q6_K:
		return s.set.Q6_K
	}
	return kern.InBlocks{}
}

// int8Header is the bytes of a row of Int8 before its numbers.
const int8Header = 4

// decoderOf is nil for a type that has none.
func decoderOf(d *kern.Decoders, t device.Type) kern.Decode {
	switch t {
	case device.Int8:
		return d.Int8
	case device.Q8_0:
		return d.Q8_0
	case device.Q4_0:
		return d.Q4_0
	case device.Q4_K:
		return d.Q4_K
	case device.Q6_K:
		return d.Q6_K
	case device.NF4:
		return d.NF4
	}
	return nil
}
