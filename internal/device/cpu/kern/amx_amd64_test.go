package kern

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"align/internal/device/cpu/feature"
)

// Tiles must survive what the runtime does to a thread meanwhile: signals that
// preempt it, a garbage collection that stops it, goroutines that change threads
// and stacks that move.
func TestTilesUnderPreemption(t *testing.T) {
	if !feature.Has(feature.AMX) {
		t.Skip("the machine has no tiles")
	}
	const rows, k, panels, rounds = 32, 133, 4, 3000
	p := &New(feature.AMX).BF16
	b := randomPanel(2, panels*k*Cols, 2)
	product := func(a []uint32) []float32 {
		c := make([]float32, rows*panels*Cols)
		p.Strip(rows, k, pointer(a), pointer(b), k*Stride, pointer(c), panels*Stride, 0, panels)
		return c
	}
	var stop atomic.Bool
	var disturb, work sync.WaitGroup
	disturb.Go(func() {
		for !stop.Load() {
			runtime.GC()
		}
	})
	for worker := range 3 * runtime.GOMAXPROCS(0) {
		work.Go(func() {
			a := arranged(p, randomPanel(worker+3, k*rows, 2), k, rows)
			want := product(a)
			for i := range rounds {
				if got := onDeepStack(i%50, func() []float32 { return product(a) }); !slices.Equal(got, want) {
					t.Errorf("worker %d: product %d differs", worker, i)
					return
				}
			}
		})
	}
	work.Wait()
	stop.Store(true)
	disturb.Wait()
}

// onDeepStack makes the stack grow first, which moves it.
func onDeepStack(depth int, f func() []float32) []float32 {
	var pad [64]float32
	if depth == 0 {
		runtime.Gosched()
		return f()
	}
	out := onDeepStack(depth-1, f)
	runtime.KeepAlive(&pad)
	return out
}

// The tiles' panels have another form than plain tiles and eager ones read or lie in.
func TestTilesHaveNoPlainOnes(t *testing.T) {
	p := &New(feature.AMX).BF16
	for rows := range p.Tile {
		if p.rows[rows] != nil || p.columns[rows] != nil || p.Eager[rows] != nil {
			t.Errorf("there is one of %d rows", rows)
		}
	}
}
