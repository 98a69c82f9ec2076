package bench

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"align/internal/device"
	"align/internal/device/cuda"
)

// profiled is a card that notes how long each kernel takes, by marks in its queue,
// while it is on. The host's own time and what it copies are not in it.
type profiled struct {
	*cuda.Backend
	clock   *cuda.Clock
	on      bool
	context kernelContext
	calls   []profiledCall // since it was turned on
}

type profiledCall struct {
	label string
	work  kernelWork
}

// profileOf puts a profile over a card.
func profileOf(b *cuda.Backend) *profiled { return &profiled{Backend: b, clock: b.Clock()} }

// Bind is the card's, with a mark before and one behind each call.
func (p *profiled) Bind(kernel string, attr any) (device.Kernel, error) {
	run, err := p.Backend.Bind(kernel, attr)
	if err != nil {
		return nil, err
	}
	return func(c *device.Call) error {
		if !p.on {
			return run(c)
		}
		p.calls = append(p.calls, profiledCall{labelOf(kernel, c), p.context.workOfCall(kernel, attr, c)})
		return errors.Join(p.clock.Mark(), run(c), p.clock.Mark())
	}, nil
}

// Capture runs what it would record: a graph has no marks between its kernels.
// Measured steps go through graphs where the program has them.
func (p *profiled) Capture(f func() error) (replay func() error, err error) {
	if p.on {
		return func() error { return p.Within(f) }, nil
	}
	graph, err := p.Backend.Capture(f)
	if err != nil {
		return nil, err
	}
	return func() error {
		if p.on {
			return p.Within(f)
		}
		return graph()
	}, nil
}

// Close gives the clock's marks back as well.
func (p *profiled) Close() {
	// What the device cannot give back is lost with it.
	_ = p.clock.Close()
	p.Backend.Close()
}

// runs are the times of n runs of a kernel, enqueued at once, so that the card
// does not wait for the host between them.
func (p *profiled) runs(n int, run device.Kernel, c *device.Call) (seconds []float64, err error) {
	// What the kernel keeps is reserved in the first one.
	for start, again := time.Now(), true; again; again = time.Since(start) < cardProbe.warm {
		if err := errors.Join(run(c), p.Sync()); err != nil {
			return nil, err
		}
	}
	if err := p.clock.Mark(); err != nil {
		return nil, err
	}
	for range n {
		if err := errors.Join(run(c), p.clock.Mark()); err != nil {
			return nil, err
		}
	}
	return p.clock.Seconds()
}

// kernelSum is the time of the calls with one label, in seconds.
type kernelSum struct {
	label          string
	calls          int
	seconds, floor float64
}

// profile runs f with marks around every kernel and returns their times, the
// longest first.
func (p *profiled) profile(f func() error, r *rates) ([]kernelSum, error) {
	p.on, p.calls = true, p.calls[:0]
	err := f()
	p.on = false
	times, waited := p.clock.Seconds()
	if err := errors.Join(err, waited); err != nil {
		return nil, err
	}
	sums := map[string]*kernelSum{}
	for i, c := range p.calls {
		k := sums[c.label]
		if k == nil {
			k = &kernelSum{label: c.label}
			sums[c.label] = k
		}
		k.calls++
		k.seconds += times[2*i]
		k.floor += c.work.seconds(r)
	}
	list := make([]kernelSum, 0, len(sums))
	for _, label := range slices.Sorted(maps.Keys(sums)) {
		list = append(list, *sums[label])
	}
	slices.SortStableFunc(list, func(a, b kernelSum) int { return cmp.Compare(b.seconds, a.seconds) })
	return list, nil
}

// kernels emits the time of every kernel of one run beside its floor, on a card.
func (b *bench) kernels(context kernelContext, run func() error) error {
	p, is := b.backend.(*profiled)
	if !is {
		return nil
	}
	p.context = context
	list, err := p.profile(run, b.rates)
	if err != nil {
		return err
	}
	var all kernelSum
	for _, k := range list {
		if err := b.figure(fmt.Sprintf("kernel %s, %d calls", k.label, k.calls), "ms", 1e3*k.seconds, 1e3*k.floor); err != nil {
			return err
		}
		all.seconds, all.floor = all.seconds+k.seconds, all.floor+k.floor
	}
	b.inKernels = all.seconds
	return b.figure("kernels together", "ms", 1e3*all.seconds, 1e3*all.floor)
}
