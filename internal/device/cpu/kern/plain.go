package kern

import "unsafe"

// Attention's weights are a left side once: a level that reads them where they lie need not
// pack them.

// HasPlain says whether the level has PlainRows and PlainColumns.
func (p *Products) HasPlain() bool { return p.rows[1] != nil }

// PlainRows is Strip for rows of a that lie aRow bytes apart.
func (p *Products) PlainRows(rows, k int, a unsafe.Pointer, aRow int, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int) {
	for i := range panels {
		p.rows[rows](k, a, aRow, at(b, i*bStep), at(c, i*Stride), ldc, add)
	}
}

// PlainColumns is Strip for rows of a that are columns of k rows aRow bytes apart.
func (p *Products) PlainColumns(rows, k int, a unsafe.Pointer, aRow int, b unsafe.Pointer, bStep int, c unsafe.Pointer, ldc, add, panels int) {
	for i := range panels {
		p.columns[rows](k, a, aRow, at(b, i*bStep), at(c, i*Stride), ldc, add)
	}
}
