package kern

import "unsafe"

// LeftWords is the words of K that a panel of A has for words of its rows.
func (p *Products) LeftWords(words int) int { return (words + p.Depth - 1) / p.Depth * p.Depth }

// PackLeft packs a panel of A of lanes rows of n elements, whose addresses rows
// lists. It fills the list up.
func (p *Products) PackLeft(dst unsafe.Pointer, rows *[MaxRows]unsafe.Pointer, lanes, n int) {
	if p.leftRows != nil {
		p.leftRows(dst, unsafe.Pointer(rows), n, lanes)
		return
	}
	for i := lanes; i%p.Lanes != 0; i++ {
		rows[i] = rows[lanes-1]
	}
	for from := p.lastLanes(lanes); from >= 0; from -= p.Lanes {
		p.PackRows(at(dst, 4*from), unsafe.Pointer(&rows[from]), n, 4*lanes)
	}
}

// PackLeftHalf is BF16's PackLeft for rows of bfloat16, n a multiple of SideCols: the
// panel has the bits of one of float32 that round to them.
func (s *Set) PackLeftHalf(dst unsafe.Pointer, rows *[MaxRows]unsafe.Pointer, lanes, n int) {
	if s.BF16.leftHalf != nil {
		s.BF16.leftHalf(dst, unsafe.Pointer(rows), n, lanes)
		return
	}
	for i := lanes; i%s.F32.Lanes != 0; i++ {
		rows[i] = rows[lanes-1]
	}
	for from := s.F32.lastLanes(lanes); from >= 0; from -= s.F32.Lanes {
		s.Words(at(dst, 4*from), unsafe.Pointer(&rows[from]), n/2, 4*lanes)
	}
}

// PackLeftColumns packs a panel of A whose rows are lanes columns, from n rows
// srcStride bytes apart that are elements along K.
func (p *Products) PackLeftColumns(dst, src unsafe.Pointer, n, srcStride, lanes int) {
	pack, rowBytes, stride := p.PackColumns, 4, 4*lanes
	if p.leftColumns != nil {
		pack, rowBytes, stride = p.leftColumns, 4*p.Depth, 4*p.Depth*lanes
	}
	for from := p.lastLanes(lanes); from >= 0; from -= p.Lanes {
		pack(at(dst, from*rowBytes), at(src, 4*from), n, srcStride, min(p.Lanes, lanes-from), stride)
	}
}

// HasLeftColumnsHalf says whether the level has PackLeftColumnsHalf for so many lanes.
func (s *Set) HasLeftColumnsHalf(lanes int) bool {
	return s.leftColumnsHalf != nil && lanes%MaxLanes == 0
}

// PackLeftColumnsHalf is BF16's PackLeftColumns for rows of bfloat16, where the level
// has it.
func (s *Set) PackLeftColumnsHalf(dst, src unsafe.Pointer, n, srcStride, lanes int) {
	for from := 0; from < lanes; from += MaxLanes {
		s.leftColumnsHalf(at(dst, 4*MaxDepth*from), at(src, 2*from), n, srcStride, 4*MaxDepth*lanes)
	}
}

// lastLanes is where the last of the lanes that a packer takes at a time begin.
// They come first, since what a packer writes behind them belongs to others.
func (p *Products) lastLanes(lanes int) int { return (lanes - 1) / p.Lanes * p.Lanes }

// Strip is c = a b, or c += a b if add is not 0, for rows of c and several
// panels of b, bStep bytes apart: what Tile gives with alpha 1.
func (p *Products) Strip(rows, k int, a, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int) {
	if strip := p.strip[rows]; strip != nil {
		strip(k, a, b, bStep, c, ldc, add, panels)
		return
	}
	for i := range panels { // no address behind the last is made
		p.Tile[rows](k, a, at(b, i*bStep), at(c, i*Stride), ldc, 1, add, a)
	}
}
