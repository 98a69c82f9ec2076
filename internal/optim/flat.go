package optim

import (
	"errors"
	"fmt"
	"math"

	"align/internal/device"
)

// Flat is one set of trained values in flat buffers of equal length and type
// (F32, or F64 where a proof needs it) on the device: values, gradients and
// AdamW's two moments, in the same order.
type Flat struct{ Value, Grad, M, V device.View }

// Group is a range of elements of a Flat with a learning rate of its own: the
// schedule's times LearningRateScale (LoRA+, https://arxiv.org/abs/2402.12354,
// scales B's). Elements of no group are not updated.
type Group struct {
	First, Len        int
	LearningRateScale float64
	// NoDecay leaves the group out of the weight decay.
	NoDecay bool
}

func (f Flat) check() error {
	var errs []error
	if f.Value.Len() == 0 {
		errs = append(errs, errors.New("optim: there are no trained values"))
	}
	for _, o := range []struct {
		name   string
		view   device.View
		needed bool
	}{{"gradients", f.Grad, true}, {"first moments", f.M, f.M.Addr != 0}, {"second moments", f.V, f.V.Addr != 0}} {
		if o.needed && (o.view.Len() != f.Value.Len() || o.view.Type != f.Value.Type) {
			errs = append(errs, fmt.Errorf("optim: %s are %d elements of %s, the values %d of %s",
				o.name, o.view.Len(), o.view.Type, f.Value.Len(), f.Value.Type))
		}
	}
	if (f.M.Addr == 0) != (f.V.Addr == 0) {
		errs = append(errs, errors.New("optim: one moment has a buffer, the other none"))
	}
	return errors.Join(errs...)
}

// slice is the range of the group in every buffer.
func (f Flat) slice(g Group) Flat {
	return Flat{f.Value.Row(g.First, g.Len), f.Grad.Row(g.First, g.Len), f.M.Row(g.First, g.Len), f.V.Row(g.First, g.Len)}
}

// vector is the same memory as n x 1, so that a range of rows is a range of
// elements.
func vector(v device.View) device.View {
	v.Rows, v.Cols = v.Len(), 1
	return v
}

// checkGroups wants ranges that ascend, do not overlap and lie in n elements.
func checkGroups(groups []Group, n int) error {
	var errs []error
	end := 0
	for i, g := range groups {
		if g.First < end || g.Len < 1 || g.Len > n-g.First {
			errs = append(errs, fmt.Errorf("optim: group %d is %d elements from %d: want a range in [%d, %d)", i, g.Len, g.First, end, n))
			continue
		}
		if !(g.LearningRateScale >= 0 && g.LearningRateScale <= math.MaxFloat64) {
			errs = append(errs, fmt.Errorf("optim: group %d: learning rate scale must be finite and not negative, got %v", i, g.LearningRateScale))
		}
		end = g.First + g.Len
	}
	return errors.Join(errs...)
}
