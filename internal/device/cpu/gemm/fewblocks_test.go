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
		g := b.groups()
		if b.rows != c.rows || g.First != 3*kern.Cols || g.Apart != c.apart || g.Groups*kern.FewGroup != c.rows {
			t.Errorf("rows of %d bytes, %d panels: %d rows, %+v, want %d from %d on, %d apart", c.bytes, c.panels, b.rows, g, c.rows, 3*kern.Cols, c.apart)
			continue
		}
		seen := make([]bool, b.rows)
		for i := range b.rows {
			row := i%kern.FewGroup*g.Apart + i/kern.FewGroup*g.Next
			if row >= b.rows || seen[row] {
				t.Fatalf("rows of %d bytes, %d panels: row %d of %d is out of place or twice", c.bytes, c.panels, row, b.rows)
			}
			seen[row] = true
			if b.place(row) != i {
				t.Fatalf("rows of %d bytes, %d panels: row %d is looked for at place %d and is at %d", c.bytes, c.panels, row, b.place(row), i)
			}
		}
	}
}
