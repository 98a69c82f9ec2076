package cpu

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// micro is products of blocks that stay in a core's caches, for attention: the
// tiles of a level, its packers, and what one worker needs to call them.
type micro struct {
	*kern.Products
	level *kern.Set
	table [kern.MaxRows]unsafe.Pointer
	tile  [kern.MaxRows * kern.Cols]float32
}

// words is the number of words along K of n elements.
func (m *micro) words(n int) int { return (n + m.PerWord - 1) / m.PerWord }

// panelsOf is the number of panels of w columns, or rows, that cover n.
func panelsOf(n, w int) int { return (n + w - 1) / w }

// rowsBytes is the size of a panel of A of rows of k elements.
func (m *micro) rowsBytes(k int) int { return lines(4*m.Rows*m.LeftWords(m.words(k)) + kern.Slack) }

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

// packLeft packs the n rows of k elements whose addresses are in table as a
// panel of A.
func (m *micro) packLeft(dst unsafe.Pointer, n, k int) { m.PackLeft(dst, &m.table, n, k) }

// packLeftOf is packLeft of rows of x.
func (m *micro) packLeftOf(x heads, dst unsafe.Pointer, n, k int) {
	if x.half != nil {
		m.level.PackLeftHalf(dst, &m.table, n, k)
		return
	}
	m.packLeft(dst, n, k)
}

// packLanes packs Lanes rows of x of k elements, whose addresses are in table, as
// columns of a panel of B.
func (m *micro) packLanes(x heads, dst unsafe.Pointer, k int) {
	if x.half != nil {
		m.level.Words(dst, unsafe.Pointer(&m.table), k/m.PerWord, kern.Stride)
		return
	}
	m.PackRows(dst, unsafe.Pointer(&m.table), k, kern.Stride)
}

// packRows packs n rows of k elements, ld elements apart, as panels of B whose
// columns are the rows.
func (m *micro) packRows(dst unsafe.Pointer, x heads, ld, n, k int) {
	for row := 0; row < n; row += m.Lanes {
		some := min(m.Lanes, n-row)
		for i := range m.Lanes {
			m.table[i] = x.at((row + min(i, some-1)) * ld)
		}
		m.packLanes(x, unsafe.Add(dst, row/kern.Cols*m.colsBytes(k)+row%kern.Cols*4), k)
	}
}

// packColsOf is packCols of x.
func (m *micro) packColsOf(x heads, dst unsafe.Pointer, step, ld, n, k int) {
	if x.half == nil {
		m.packCols(dst, step, x.wide, ld, n, k)
		return
	}
	for col := 0; col < n; col += kern.Cols {
		m.level.Join(unsafe.Add(dst, col/kern.Cols*step), x.at(col), k, 2*ld, kern.Stride)
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

// product is c = a b for rows rows of c, ld elements apart, and n columns, with panels of b step
// bytes apart, or c += that if add is not 0.
func (m *micro) product(c []float32, ld, rows, n, words int, a, b unsafe.Pointer, step, add int) {
	whole := n / kern.Cols
	if whole > 0 {
		m.Strip(rows, words, a, b, step, unsafe.Pointer(&c[0]), 4*ld, add, whole)
	}
	if col := whole * kern.Cols; col < n {
		// A tile writes all of its columns.
		b = unsafe.Add(b, whole*step)
		m.Tile[rows](words, a, b, unsafe.Pointer(&m.tile), kern.Stride, 1, 0, a)
		m.putTile(c[col:], ld, rows, n-col, add)
	}
}

// plainStrip is PlainRows or PlainColumns.
type plainStrip func(rows, k int, a unsafe.Pointer, aRow int, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int)

// plainProduct is product where a is not packed.
func (m *micro) plainProduct(multiply plainStrip, c []float32, ld, rows, n, k int, a unsafe.Pointer, aRow int, b unsafe.Pointer, step, add int) {
	whole := n / kern.Cols
	if whole > 0 {
		multiply(rows, k, a, aRow, b, step, unsafe.Pointer(&c[0]), 4*ld, add, whole)
	}
	if col := whole * kern.Cols; col < n {
		multiply(rows, k, a, aRow, unsafe.Add(b, whole*step), step, unsafe.Pointer(&m.tile), kern.Stride, 0, 1)
		m.putTile(c[col:], ld, rows, n-col, add)
	}
}

// putTile writes a tile's first cols columns to rows of c, or adds them to those if add is
// not 0.
func (m *micro) putTile(c []float32, ld, rows, cols, add int) {
	for i := range rows {
		to, from := c[i*ld:][:cols], m.tile[i*kern.Cols:]
		if add == 0 {
			copy(to, from)
			continue
		}
		addTo(to, from)
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
