package align

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"align/internal/device"
)

// probe is what a card's rates are measured on: a product of square matrices of
// side, and a sum of two vectors of elements that no cache holds.
type probe struct{ side, elements int }

// cardProbe is that of a card; tests in the simulator take a smaller one.
var cardProbe = probe{4096, 64 << 20}

const cardRuns = 10

// measureCard takes the rates from a card's own kernels: its floors are what
// they reach at their best shape, not what the card's sheet promises. Matrices
// are of the activation type.
func (r *rates) measureCard(b device.Backend, act device.Type, p probe) error {
	r.fixed = true
	side, elements := p.side, p.elements
	bytes := int64(act.Size()) * int64(side) * int64(side)
	matrices, err := b.Alloc(2 * bytes)
	if err != nil {
		return err
	}
	defer b.Free(matrices)
	w, err := b.Place(device.Weight{Name: "square", Type: device.BF16, Rows: side, Cols: side, Read: func(dst []byte, _, _ int) error {
		clear(dst)
		return nil
	}})
	if err != nil {
		return err
	}
	defer b.Free(device.Memory{Addr: w.Addr, Bytes: w.Bytes()})
	seconds, err := bestRun(b, "linear", &device.Call{
		Out: []device.View{matrices.At(0, act, side, side)}, In: []device.View{matrices.At(bytes, act, side, side), w},
	})
	if err != nil {
		return err
	}
	r.flops = 2 * float64(side) * float64(side) * float64(side) / seconds
	vectors, err := b.Alloc(3 * 4 * int64(elements))
	if err != nil {
		return err
	}
	defer b.Free(vectors)
	at := func(i int) device.View { return vectors.At(4*int64(i)*int64(elements), device.F32, elements, 1) }
	if seconds, err = bestRun(b, "add", &device.Call{Out: []device.View{at(0)}, In: []device.View{at(1), at(2)}}); err != nil {
		return err
	}
	r.read = 3 * 4 * float64(elements) / seconds
	return nil
}

// bestRun is the shortest time of a kernel in seconds: by the card's clock, or
// with the wait for its end.
func bestRun(b device.Backend, kernel string, c *device.Call) (float64, error) {
	run, err := b.Bind(kernel, nil)
	if err != nil {
		return 0, err
	}
	if p, is := b.(*profiled); is {
		times, err := p.runs(cardRuns, run, c)
		if err != nil {
			return 0, fmt.Errorf("measure %s: %w", b.Name(), err)
		}
		return slices.Min(times), nil
	}
	best := 0.0
	for range cardRuns {
		start := time.Now()
		if err := errors.Join(run(c), b.Sync()); err != nil {
			return 0, fmt.Errorf("measure %s: %w", b.Name(), err)
		}
		if t := time.Since(start).Seconds(); best == 0 || t < best {
			best = t
		}
	}
	return best, nil
}
