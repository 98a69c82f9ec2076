package gemm

import (
	"cmp"

	"align/internal/device/cpu/kern"
)

// tasksPerThread is how many tasks each worker finds at least, where the
// product is large enough: a worker that is late then delays little.
const tasksPerThread = 4

// divide cuts y into tasks: blocks of columns, and of rows where there are few
// columns. It does not touch the order of any sum.
func (r *run) divide() {
	want := tasksPerThread * len(r.e.own)
	if r.sweeping && r.words <= sweptWords && len(r.e.own) == 1 {
		want = 1 // nobody waits for a late one
	}
	r.taskPanels = min(cmp.Or(r.e.tiles.TaskPanels, blockPanels), max(1, r.colPanels/want))
	if r.spans() && !r.making {
		r.taskPanels = r.spanTask(want)
	}
	if r.reads() && r.panels > 1 && r.e.tiles.Depth == 1 {
		r.taskPanels = min(r.taskPanels, madePanels)
	}
	if r.WAcross && r.W.Packed.Data == nil && r.W.Source != nil {
		r.taskPanels = roundUp(r.taskPanels, blocks(r.W.Source.Block(), kern.Cols))
	}
	if r.turns() {
		r.taskPanels = roundUp(r.taskPanels, turnPanels)
	}
	if r.making {
		r.taskPanels = roundUp(min(makingPanels, max(1, 2*r.colPanels/want)), kern.MakingPanels)
	}
	r.colTasks = blocks(r.colPanels, r.taskPanels)
	r.rowTasks = max(1, min(r.panels, want/(2*r.colTasks)))
	switch {
	case r.making:
		r.rowTasks = max(r.rowTasks, blocks(r.panels, makingLeft))
	case r.keeping:
		r.rowTasks = max(r.rowTasks, blocks(r.panels, keepingLeft))
	}
	r.rowTasks = r.evenParts(want)
	r.taskRows = blocks(r.panels, r.rowTasks)
	r.rowTasks = blocks(r.panels, max(1, r.taskRows))
}

const (
	// leastRows is the fewest panels of x in a task that is made smaller for the sake of
	// an even share.
	leastRows = 4
	// packedRows is how many panels of x take as long as packing those of w beside them.
	packedRows = 1
)

// evenParts is the number of parts of the rows by which the workers have nearly the
// same to do: 24 tasks for 16 of them take as long as 32. More parts must save a tenth,
// or be free where fewer tasks than are wanted have what columns there are.
func (r *run) evenParts(want int) int {
	parts, free := r.rowTasks, 0
	if r.cutsRows(want) {
		free = want / r.colTasks
	}
	least := r.longest(parts)
	for more := parts + 1; len(r.e.own) > 1 && more*leastRows <= r.panels; more++ {
		if n := r.longest(more); 10*n <= 9*least || n <= least && more <= free {
			parts, least = more, n
		}
	}
	return parts
}

// longest is what the busiest worker does where the rows are so many parts, in panels
// of x that pass by a task's panels of w.
func (r *run) longest(parts int) int {
	rows := blocks(r.panels, parts)
	tasks := r.colTasks * blocks(r.panels, max(1, rows))
	if !r.direct() {
		rows += packedRows
	}
	return blocks(tasks, len(r.e.own)) * rows
}

// packTask is the panels of x that a task packs: two where they are multiplied at
// once, and one where that gives workers an even share.
func (r *run) packTask() int {
	workers := len(r.e.own)
	switch {
	case r.strides():
		return max(thinPanels, blocks(r.panels, stridedTasks*workers))
	case !r.LowRank.computesU() && blocks(r.panels, workers) < thinPanels*blocks(blocks(r.panels, thinPanels), workers):
		return 1
	}
	return thinPanels
}

// evenColumns is how many of n columns a task has: the most of them, or halves and quarters
// of that down to least where the busiest worker then has a fifth fewer.
func evenColumns(n, most, least, workers int) int {
	columns := most
	for half := most / 2; half >= least; half /= 2 {
		if 5*half*blocks(blocks(n, half), workers) <= 4*columns*blocks(blocks(n, columns), workers) {
			columns = half
		}
	}
	return columns
}
