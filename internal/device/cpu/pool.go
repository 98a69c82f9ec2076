package cpu

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// spinTime is how long an idle worker looks for the next job before it parks.
// Waking a parked goroutine costs about 70 us; the gap between two kernels of
// a step is far shorter.
const spinTime = 50 * time.Microsecond

// spinRounds is how often an idle worker looks between two looks at the clock.
const spinRounds = 64

// job is a unit of parallel work. Tasks may run in any order and at the same
// time; worker tells which of the pool's workspaces is free for this task.
type job interface{ do(task, worker int) }

// work is a job on its way through the pool. A kernel makes one when it is
// bound and uses it for every run.
//
// left counts down, so that a worker that comes late, even after a new run of
// the same work began, takes either nothing or a task of that new run.
type work struct {
	job     job
	tasks   int
	left    atomic.Int64 // tasks not yet taken; negative: none
	pending atomic.Int64 // tasks not yet finished
}

// pool runs jobs on a fixed set of workers; the caller is worker 0. The end of
// a job is counted by tasks: a worker that the system never scheduled is not
// waited for.
type pool struct {
	threads  int
	current  atomic.Pointer[work]
	rounds   atomic.Uint64 // number of jobs published
	sleepers atomic.Int64
	wake     chan struct{}
	finished chan struct{}
	closed   atomic.Bool
	workers  sync.WaitGroup

	mu  sync.Mutex
	err error
}

func newPool(threads int) *pool {
	p := &pool{threads: threads, wake: make(chan struct{}, threads), finished: make(chan struct{}, 1)}
	for i := 1; i < threads; i++ {
		p.workers.Add(1)
		go p.serve(i)
	}
	return p
}

// run does all tasks of w and returns when they are done; a panic in a task
// comes back as an error after the others have run.
func (p *pool) run(w *work, tasks int) error {
	if tasks <= 0 {
		return nil
	}
	w.tasks = tasks
	w.pending.Store(int64(tasks))
	w.left.Store(int64(tasks))
	if tasks > 1 && p.threads > 1 {
		p.publish(w, tasks-1)
	}
	p.help(w, 0)
	p.await(w)
	return p.takeError()
}

// publish shows w to the workers and wakes as many sleepers as can be of use.
func (p *pool) publish(w *work, useful int) {
	p.current.Store(w)
	p.rounds.Add(1)
	for n := min(int64(useful), p.sleepers.Load()); n > 0; n-- {
		select {
		case p.wake <- struct{}{}:
		default: // enough tokens are on their way
			return
		}
	}
}

// help takes tasks until none is left.
func (p *pool) help(w *work, worker int) {
	for {
		i := w.left.Add(-1)
		if i < 0 {
			return
		}
		p.step(w, w.tasks-1-int(i), worker)
		if w.pending.Add(-1) == 0 {
			select {
			case p.finished <- struct{}{}:
			default: // the caller has a token already and looks again
			}
		}
	}
}

func (p *pool) step(w *work, task, worker int) {
	defer func() {
		if cause := recover(); cause != nil {
			p.fail(cause)
		}
	}()
	w.job.do(task, worker)
}

// await returns when the last task of w is finished.
func (p *pool) await(w *work) {
	if w.pending.Load() == 0 {
		return
	}
	if p.spin(func() bool { return w.pending.Load() == 0 }) {
		return
	}
	for w.pending.Load() != 0 {
		<-p.finished
	}
}

// serve is the life of worker i.
func (p *pool) serve(worker int) {
	defer p.workers.Done()
	seen := uint64(0)
	for !p.closed.Load() {
		round := p.rounds.Load()
		if round == seen {
			p.rest(seen)
			continue
		}
		seen = round
		if w := p.current.Load(); w != nil {
			p.help(w, worker)
		}
	}
}

// rest returns when something may have happened since round seen.
func (p *pool) rest(seen uint64) {
	news := func() bool { return p.rounds.Load() != seen || p.closed.Load() }
	if p.spin(news) {
		return
	}
	p.sleepers.Add(1)
	// A job published before the line above did not count this sleeper.
	if !news() {
		<-p.wake
	}
	p.sleepers.Add(-1)
}

// spin looks for up to spinTime whether the condition holds. It yields between
// looks, so that other goroutines of the process get the processor.
func (p *pool) spin(holds func() bool) bool {
	start := time.Now()
	for {
		for range spinRounds {
			if holds() {
				return true
			}
		}
		if time.Since(start) > spinTime {
			return false
		}
		runtime.Gosched()
	}
}

func (p *pool) fail(cause any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = fmt.Errorf("cpu: kernel stopped: %v", cause)
	}
}

func (p *pool) takeError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	p.err = nil
	return err
}

// close ends the workers and waits for them.
func (p *pool) close() {
	if p.closed.Swap(true) {
		return
	}
	for range p.threads {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	p.workers.Wait()
}
