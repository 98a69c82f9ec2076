package gemm

// An x whose columns are its vectors has little of a panel in each row, less than a
// line where a panel is of 6 or 14 columns. Panel by panel every line would come from
// memory several times, for the rows lie so far apart that few of them stay in a
// cache. So some panels are packed side by side, some rows at a time.

const (
	// stridedTasks is how many tasks of a worker's there are: the fewer, the more of
	// a row is read at a time.
	stridedTasks = 2
	// stridedRows is the rows of x that pass over all panels of a task, a multiple of
	// the elements of a word.
	stridedRows = 64
)

// strides says whether x is packed this way.
func (r *run) strides() bool {
	return r.XAcross && r.X.Half == nil && r.LowRank.R == 0 && r.e.tiles.Depth == 1
}

// packStrided packs panels [from, to) of x. A packer writes past the end of its rows,
// which those that follow write over: K ascends in each panel.
func (r *run) packStrided(from, to int) {
	for k := 0; k < r.K; k += stridedRows {
		rows := min(stridedRows, r.K-k)
		for i := from; i < to; i++ {
			col, n := r.rowsOf(i)
			r.e.tiles.PackLeftColumns(r.xPanel(i, n, k/r.e.tiles.PerWord), r.X.address(k, col), rows, 4*r.X.Stride, n)
		}
	}
}
