// Package proof lets the kernels of a card prove themselves on the card that they
// are about to run on: small calls of every file of kernels, with the tiles and
// widths that jobs use, whose numbers are compared with another backend's. Both are
// seen as a device.Backend only.
package proof

import (
	"fmt"
	"math"

	"align/internal/device"
)

// Error is a kernel whose numbers are wrong.
type Error struct {
	File   string // of kernels
	Kernel string
	// Output and Element say where the first wrong number is, counted from 0.
	Output, Element int
	Got, Want       float64
}

// Error tells the kernel and its first wrong number.
func (e *Error) Error() string {
	return fmt.Sprintf("kernels %q come out wrong: %s: element %d of output %d is %.6g, want %.6g", e.File, e.Kernel, e.Element, e.Output, e.Got, e.Want)
}

// Run runs the trials of a file of kernels on a card's backend and on the reference,
// a backend with activations of F32. A wrong number is an [Error]; a file that has
// no trials is an error too: nothing may pass by being forgotten.
func Run(card, reference device.Backend, file string) error {
	build := files[file]
	if build == nil {
		return fmt.Errorf("kernels %q have no trials", file)
	}
	for _, s := range build() {
		got, err := s.on(card, s.calls, false)
		if err != nil {
			return err
		}
		want, err := s.on(reference, s.expected(), true)
		if err != nil {
			return fmt.Errorf("the reference: %w", err)
		}
		if err := s.compare(got, want); err != nil {
			err.File = file
			return err
		}
	}
	return nil
}

// Tolerances, of the largest magnitude that an output has: those of the suite that
// every backend passes (devicetest).
const (
	tolerance32   = 2e-5                  // some roundings of float32
	toleranceBF16 = 1.0/256 + tolerance32 // one rounding of a result to BF16
	rounding      = 1.0 / 256             // what a product gains by one input that is rounded
)

func (t *tensor) tolerance() float64 {
	if t.typ == device.BF16 {
		return toleranceBF16 + t.inputs*rounding
	}
	return tolerance32 + t.inputs*rounding
}

// compare holds the card's outputs to the reference's.
func (s *scene) compare(got, want [][]float64) *Error {
	for _, c := range s.calls {
		for o, t := range c.out {
			if !t.checked {
				continue
			}
			g, w := got[t.index], want[t.index]
			if t.want != nil {
				w = t.want
			}
			scale := 1.0
			for _, x := range w {
				scale = max(scale, math.Abs(x))
			}
			for i := range w {
				// What is not a number fails as well.
				if !(math.Abs(g[i]-w[i]) <= t.tolerance()*scale) {
					return &Error{Kernel: c.kernel, Output: o, Element: i, Got: g[i], Want: w[i]}
				}
			}
		}
	}
	return nil
}
