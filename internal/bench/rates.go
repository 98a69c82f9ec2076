package bench

import (
	"sync"
	"time"

	"align/internal/compute"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// rates are what the machine does at best: multiplications in registers alone,
// and reading from memory. They are measured in the run whose figures they
// bound, on as many threads.
type rates struct {
	set      *kern.Set
	products *kern.Products
	threads  int
	// flops is operations per second of all threads, read bytes per second.
	flops, read float64
	fixed       bool // they are a card's, measured once
}

// newRates takes the instructions that the products of the run use.
func newRates(c compute.Settings) (*rates, error) {
	level, err := feature.Select()
	if err != nil {
		return nil, err
	}
	r := &rates{set: kern.New(level), threads: c.NumThreads()}
	r.products = &r.set.F32
	if c.Precision == "bf16" && r.set.BF16.Rows > 0 {
		r.products = &r.set.BF16
	}
	return r, nil
}

// Windows are short, so that one of them falls between the work of others, and
// long beside the clock's resolution.
const (
	peakWindow  = 2 * time.Millisecond
	peakWindows = 60
)

// measureArithmetic raises flops to the sum of every thread's best window, all
// threads running. Short windows tell what the loop sustains: alone on its core it
// keeps its rate for seconds, on Sapphire Rapids within 4 %. Work that loads what it
// multiplies may get a lower clock there, with AVX-512 3.4 instead of 3.8 GHz, which
// it leaves for a millisecond to what follows; so it cannot always reach the floor.
func (r *rates) measureArithmetic() {
	if r.fixed {
		return
	}
	r.flops = max(r.flops, r.onAllThreads(func(int) float64 { return bestWindow(r.products) }))
}

func bestWindow(p *kern.Products) (best float64) {
	rounds := 1
	for n := 0; n < peakWindows; {
		start := time.Now()
		p.Peak(rounds)
		elapsed := time.Since(start)
		if elapsed < peakWindow/2 {
			rounds *= 2
			continue
		}
		n++
		best = max(best, float64(rounds)*float64(p.PeakFlops)/elapsed.Seconds())
	}
	return best
}

// onAllThreads is the sum of what f gives on each thread.
func (r *rates) onAllThreads(f func(thread int) float64) (sum float64) {
	results := make([]float64, r.threads)
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() { results[i] = f(i) })
	}
	all.Wait()
	for _, x := range results {
		sum += x
	}
	return sum
}

// readBytes is what a pass of the reading loop goes through, well above any
// cache; readPasses are made.
const (
	readBytes  = 256 << 20
	readPasses = 4
)

// measureRead raises read to the best pass over memory that no cache holds.
func (r *rates) measureRead() {
	if r.fixed {
		return
	}
	memory := make([]float32, readBytes/4)
	for i := range memory {
		memory[i] = 1
	}
	part := len(memory) / r.threads
	for range readPasses {
		start := time.Now()
		r.onAllThreads(func(i int) float64 { return float64(r.set.Max(memory[i*part:][:part])) })
		r.read = max(r.read, readBytes/time.Since(start).Seconds())
	}
}

// machine gives the rates themselves.
func (b *bench) machine() error {
	if err := b.figure("products "+b.options.Compute.Precision, "TFLOP/s", b.rates.flops/1e12, 0); err != nil {
		return err
	}
	peak := b.peak()
	b.rates.measureRead()
	return b.last(b.figureOf("memory read", "GB/s", b.rates.read/1e9, 0), Throughput{}, peak)
}
