package cpu

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// micro is products of blocks that stay in a core's caches, for attention: the
// tiles of a level, its packers, and what one worker needs to call them.
type micro struct {
	*kern.Products
	table [kern.MaxLanes]unsafe.Pointer
	tile  [kern.MaxRows * kern.Cols]float32
}

// words is the number of words along K of n elements.
func (m *micro) words(n int) int { return (n + m.PerWord - 1) / m.PerWord }

// panelsOf is the number of panels of w columns, or rows, that cover n.
func panelsOf(n, w int) int { return (n + w - 1) / w }

// rowsBytes is the size of a panel of A of rows of k elements.
func (m *micro) rowsBytes(k int) int { return lines(4*m.Rows*m.words(k) + kern.Slack) }

// colsBytes is the size of a panel of B of k elements along K.
func (m *micro) colsBytes(k int) int { return m.words(k) * kern.Stride }

// lines rounds up to whole cache lines.
func lines(bytes int) int { return (bytes + 63) &^ 63 }

// evenly is the first row and the number of rows of panel i of n rows.
func evenly(n, panels, i int) (row, rows int) {
	base, extra := n/panels, n%panels
	if i < extra {
		return i * (base + 1), base + 1
	}
	return i*base + extra, base
}

// packTable packs the n rows of k elements whose addresses are in table, side by
// side, stride bytes from word to word. Lanes past n repeat the last row.
func (m *micro) packTable(dst unsafe.Pointer, n, k, stride int) {
	for i := n; i < m.Lanes; i++ {
		m.table[i] = m.table[n-1]
	}
	m.PackRows(dst, unsafe.Pointer(&m.table), k, stride)
}

// packRows packs n rows of k elements, ld elements apart, as panels of B whose
// columns are the rows.
func (m *micro) packRows(dst unsafe.Pointer, x []float32, ld, n, k int) {
	for row := 0; row < n; row += m.Lanes {
		some := min(m.Lanes, n-row)
		for i := range some {
			m.table[i] = unsafe.Pointer(&x[(row+i)*ld])
		}
		to := unsafe.Add(dst, row/kern.Cols*m.colsBytes(k)+row%kern.Cols*4)
		m.packTable(to, some, k, kern.Stride)
	}
}

// packCols packs k rows of n elements, ld elements apart, as panels of B whose
// sums run over the rows; panel i begins at dst + i*step.
func (m *micro) packCols(dst unsafe.Pointer, step int, x []float32, ld, n, k int) {
	for col := 0; col < n; col += m.Lanes {
		to := unsafe.Add(dst, col/kern.Cols*step+col%kern.Cols*4)
		m.PackColumns(to, unsafe.Pointer(&x[col]), k, 4*ld, min(m.Lanes, n-col), kern.Stride)
	}
}

// add is c += a b for rows rows of c, ld elements apart, and n columns, with
// panels of b step bytes apart.
func (m *micro) add(c []float32, ld, rows, n, words int, a, b unsafe.Pointer, step int) {
	multiply := m.Tile[rows]
	for col := 0; col < n; col += kern.Cols {
		width := min(kern.Cols, n-col)
		if width == kern.Cols {
			multiply(words, a, b, unsafe.Pointer(&c[col]), 4*ld, 1, 1, a)
		} else {
			// A tile writes all of its columns.
			multiply(words, a, b, unsafe.Pointer(&m.tile), kern.Stride, 1, 0, a)
			for i := range rows {
				addTo(c[i*ld+col:][:width], m.tile[i*kern.Cols:])
			}
		}
		b = unsafe.Add(b, step)
	}
}

// floats is n elements at p.
func floats(p unsafe.Pointer, n int) []float32 { return unsafe.Slice((*float32)(p), n) }

// parts hands out consecutive pieces of a workspace, each on its own lines.
type parts struct {
	base unsafe.Pointer
	size int
}

func (p *parts) take(bytes int) unsafe.Pointer {
	at := p.size
	p.size += lines(bytes)
	if p.base == nil {
		return nil // only the size is wanted
	}
	return unsafe.Add(p.base, at)
}
