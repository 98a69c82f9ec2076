package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"align/internal/device"
	"align/model"
)

// probe is what a card's rates are measured on: a product of square matrices of
// side, and a sum of two vectors of elements that no cache holds. Before a kernel is
// measured it runs for the time warm: a card that was idle raises its clock by steps.
type probe struct {
	side, elements int
	warm           time.Duration
}

// cardProbe is that of a card; tests in the simulator take a smaller one.
var cardProbe = probe{4096, 64 << 20, 100 * time.Millisecond}

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
	// Of zeros a card makes more products than of numbers: it takes less power for them.
	x := matrices.At(bytes, act, side, side)
	if err := model.WriteFloats(b, x, uniform(side*side, 0)); err != nil {
		return err
	}
	w, err := b.Place(device.Weight{Name: "square", Type: device.F32, Rows: side, Cols: side, Read: func(dst []byte, row, n int) error {
		for i, v := range uniform(n*side, uint64(row)) {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
		return nil
	}})
	if err != nil {
		return err
	}
	defer b.Free(device.Memory{Addr: w.Addr, Bytes: w.Bytes()})
	seconds, err := bestRun(b, "linear", &device.Call{
		Out: []device.View{matrices.At(0, act, side, side)}, In: []device.View{x, w},
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
