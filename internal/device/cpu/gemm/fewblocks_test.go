package gemm

import (
	"testing"

	"align/internal/device/cpu/kern"
)

// rowsOfBytes is a weight whose rows are of so many bytes.
type rowsOfBytes struct {
	BlockSource
	bytes int
}

func (r rowsOfBytes) RowBytes() int { return r.bytes }

// Ensure that streams of rows cover neighbouring panels, each row once and with its
// sums where they are looked for, and that they do not share a place in the cache.
func TestFewBlocks(t *testing.T) {
	for _, c := range []struct{ bytes, panels, rows, apart int }{
		{2176, 8, 256, 16}, {2176, 40, 256, 16}, {2176, 7, 128, 8}, {2176, 2, 64, 4}, {2176, 1, 32, 2},
		{8704, 8, 64, 4}, {1152, 8, 256, 16}, {4608, 8, 64, 4}, {2052, 8, 256, 16}, {4096, 8, 32, 1},
	} {
		r := &run{}
		r.W.Source = rowsOfBytes{bytes: c.bytes}
		b := r.fewBlockAt(3, c.panels)
		if b.rows != c.rows || b.row != 3*kern.Cols || b.pair(0).Apart != c.apart {
			t.Errorf("rows of %d bytes, %d panels: %d rows from %d on, %d apart, want %d from %d on, %d apart",
				c.bytes, c.panels, b.rows, b.row, b.pair(0).Apart, c.rows, 3*kern.Cols, c.apart)
		}
		seen := make([]bool, b.rows)
		for i := range b.rows / kern.Cols {
			for lane := range kern.Cols {
				p := b.pair(i)
				row := p.First + lane%kern.FewGroup*p.Apart + lane/kern.FewGroup*p.Next - b.row
				if row < 0 || row >= b.rows || seen[row] {
					t.Fatalf("rows of %d bytes, %d panels: row %d of %d is out of place or twice", c.bytes, c.panels, row, b.rows)
				}
				seen[row] = true
				if at := (i*kern.Cols + lane) * kern.FewRows; b.sum(row) != at {
					t.Fatalf("rows of %d bytes, %d panels: the sums of row %d are looked for at %d and lie at %d", c.bytes, c.panels, row, b.sum(row), at)
				}
			}
		}
	}
}
