package graph

import "math"

// Range is what a value of an index may be: Least, or more and below the rows of
// the table that it points into.
type Range struct {
	Least int
	Table Dim
}

// anyBelow is the Least of targets, where a negative one is none.
const anyBelow = math.MinInt32

// Range is what the ops that read by an int32 input take of it; ok is false
// where none does. Kernels of a card do not look: an index outside is a lost
// device there, so that the host looks before it uploads.
func (b *Builder) Range(n *Node) (r Range, ok bool) {
	r, ok = b.ranges[n]
	return r, ok
}

// Points notes that the values of an index are least or more and point into the
// rows of a table: ops that read by one note it themselves, but for those in the
// graph of a part.
func (b *Builder) Points(index *Node, least int, table Dim) {
	if old, known := b.ranges[index]; !known || table.Max < old.Table.Max {
		b.ranges[index] = Range{least, table}
	}
}
