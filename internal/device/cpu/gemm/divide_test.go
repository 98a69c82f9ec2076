package gemm

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Workers that take the tasks of a product as they come end at nearly the same time,
// however many they are: counted in panels of x and of w.
func TestWorkersHaveEvenShares(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, threads := range []int{2, 3, 4, 6, 8, 12, 16, 24, 32} {
			for _, s := range [][3]int{
				{1024, 768, 2048}, {1024, 2048, 768}, {1024, 256, 768}, {768, 768, 768}, {2048, 688, 256}, {2048, 256, 688},
				{512, 2048, 2048}, {512, 512, 2048}, {512, 8192, 2048}, {4096, 4096, 4096}, {4096, 1024, 4096}, {4096, 14336, 4096},
			} {
				e := engine(t, set, typ, threads)
				p := &Product{M: s[0], N: s[1], K: s[2], Alpha: 1}
				p.W.Packed = Packed{Type: typ, N: p.N, K: p.K, Data: memory(line)}
				e.run.plan(e, p)
				if share := evenShare(&e.run); share < 0.8 {
					t.Errorf("%d x %d x %d on %d threads: %d x %d tasks, the mean worker has %.2f of what the busiest does",
						p.M, p.N, p.K, threads, e.run.colTasks, e.run.rowTasks, share)
				}
			}
		}
	})
}

// Where many workers share rows, spans take several panels of w for a piece of x and
// several of x for one of w: counted in panels that come in for each pair of them.
func TestSpansTakeBlocks(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, threads := range []int{4, 8, 16} {
			for _, s := range [][3]int{{1024, 2048, 768}, {1024, 768, 2048}, {768, 768, 768}, {512, 2048, 2048}, {4096, 4096, 4096}, {4096, 1024, 4096}} {
				e := engine(t, set, typ, threads)
				if e.tiles.Span == nil {
					t.Skip("the level has no spans")
				}
				p := &Product{M: s[0], N: s[1], K: s[2], Alpha: 1}
				p.W.Packed = Packed{Type: typ, N: p.N, K: p.K, Data: memory(line)}
				e.run.plan(e, p)
				if rows, cols := e.run.taskRows, e.run.taskPanels; 3*(rows+cols) > 2*rows*cols {
					t.Errorf("%d x %d x %d on %d threads: tasks of %d panels of x by %d of w", p.M, p.N, p.K, threads, rows, cols)
				}
			}
		}
	})
}

// evenShare is the mean of what workers do over what the busiest does.
func evenShare(r *run) float64 {
	loads := make([]int, len(r.e.own))
	total := 0
	for task := range r.colTasks * r.rowTasks {
		row, col := task%r.rowTasks*r.taskRows, task/r.rowTasks*r.taskPanels
		n := (min(row+r.taskRows, r.panels) - row) * (min(col+r.taskPanels, r.colPanels) - col)
		loads[slices.Index(loads, slices.Min(loads))] += n
		total += n
	}
	return float64(total) / float64(len(loads)*slices.Max(loads))
}

func TestEvenColumns(t *testing.T) {
	for _, c := range []struct{ n, workers, want int }{
		{768, 1, 128}, {768, 2, 128}, {688, 2, 128}, {768, 8, 32}, {768, 16, 64}, {768, 24, 32}, {2048, 16, 128}, {2048, 32, 64}, {256, 4, 64}, {32, 16, 32},
	} {
		if got := evenColumns(c.n, 128, 32, c.workers); got != c.want {
			t.Errorf("%d columns for %d workers: %d in a task, want %d", c.n, c.workers, got, c.want)
		}
	}
}
