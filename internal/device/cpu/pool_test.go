package cpu

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

type countJob struct{ seen []atomic.Int32 }

func (j *countJob) do(task, worker int) { j.seen[task].Add(1) }

func TestPoolRunsEveryTaskOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 5} {
		p := newPool(threads)
		defer p.close()
		for _, tasks := range []int{0, 1, 2, 3, 64, 1000} {
			j := &countJob{seen: make([]atomic.Int32, tasks)}
			w := &work{job: j}
			for round := 1; round <= 20; round++ {
				if err := p.run(w, tasks); err != nil {
					t.Fatal(err)
				}
				for i := range j.seen {
					if got := j.seen[i].Load(); got != int32(round) {
						t.Fatalf("threads %d, tasks %d: task %d ran %d times in %d rounds", threads, tasks, i, got, round)
					}
				}
			}
		}
	}
}

// TestPoolAfterParking lets the workers fall asleep between jobs.
func TestPoolAfterParking(t *testing.T) {
	p := newPool(3)
	defer p.close()
	j := &countJob{seen: make([]atomic.Int32, 8)}
	w := &work{job: j}
	for range 20 {
		time.Sleep(spinTime * 4)
		if err := p.run(w, len(j.seen)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range j.seen {
		if got := j.seen[i].Load(); got != 20 {
			t.Fatalf("task %d ran %d times, want 20", i, got)
		}
	}
}

type panicJob struct{ at int }

func (j panicJob) do(task, worker int) {
	if task == j.at {
		panic("no such row")
	}
}

func TestPoolPanicIsAnError(t *testing.T) {
	for _, threads := range []int{1, 2} {
		p := newPool(threads)
		defer p.close()
		err := p.run(&work{job: panicJob{at: 3}}, 9)
		if err == nil || !strings.Contains(err.Error(), "no such row") {
			t.Fatalf("threads %d: got %v, want the panic's text", threads, err)
		}
		if err := p.run(&work{job: panicJob{at: -1}}, 9); err != nil {
			t.Fatalf("threads %d: the next job got the old error: %v", threads, err)
		}
	}
}

func TestPoolAllocatesNothing(t *testing.T) {
	p := newPool(2)
	defer p.close()
	j := &countJob{seen: make([]atomic.Int32, 16)}
	w := &work{job: j}
	if got := testing.AllocsPerRun(200, func() { _ = p.run(w, len(j.seen)) }); got != 0 {
		t.Fatalf("allocations per run: got %v, want 0", got)
	}
}

func BenchmarkPool(b *testing.B) {
	p := newPool(2)
	defer p.close()
	j := &countJob{seen: make([]atomic.Int32, 16)}
	w := &work{job: j}
	for b.Loop() {
		_ = p.run(w, len(j.seen))
	}
}
