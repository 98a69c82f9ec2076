package optim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"align/internal/device"
)

// AdamW updates a Flat with decoupled weight decay
// (https://arxiv.org/abs/1711.05101, algorithm 2, in PyTorch's form):
//
//	g = g min(1, clip/(|g|+1e-6))
//	m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
//	p = p - rate ( m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + decay p )
//
// where |g| is the norm over all elements of the Flat.
type AdamW struct {
	// Updates is t, the number of updates so far: part of the state to save.
	Updates int

	config  Config
	backend device.Backend
	flat    Flat
	groups  []Group
	memory  device.Memory

	squares  device.View // F64 [2]: of gradients and of values
	control  device.View // F64 [4G], four for each of G groups
	grads    step
	values   step
	moments  [2]step
	zero     step
	updates  []step
	read     [2]float64
	controls []float64
}

// step is a bound kernel with its call.
type step struct {
	kernel device.Kernel
	call   device.Call
}

func (s *step) run() error { return s.kernel(&s.call) }

// ErrNotFinite tells a norm that is NaN or infinite.
type ErrNotFinite struct {
	What  string
	Value float64
}

// Error says what is not finite.
func (e *ErrNotFinite) Error() string { return fmt.Sprintf("optim: %s is %v", e.What, e.Value) }

// New binds the optimizer to a set of buffers. It reserves M and V where the
// caller left them out. Without groups all elements have the schedule's rate.
func New(b device.Backend, c Config, flat Flat, groups ...Group) (*AdamW, error) {
	n := flat.Value.Len()
	if err := errors.Join(c.Validate(), flat.check(), checkGroups(groups, n)); err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		groups = []Group{{Len: n, LearningRateScale: 1}}
	}
	o := &AdamW{
		config: c, backend: b, groups: slices.Clone(groups), controls: make([]float64, 4*len(groups)),
		flat: Flat{vector(flat.Value), vector(flat.Grad), vector(flat.M), vector(flat.V)},
	}
	if err := o.reserve(); err != nil {
		return nil, fmt.Errorf("optim: %w", err)
	}
	if err := o.bind(); err != nil {
		o.Close()
		return nil, fmt.Errorf("optim: %w", err)
	}
	return o, nil
}

// alignBytes is where a device's wide loads want a buffer to begin.
const alignBytes = 256

func (o *AdamW) reserve() (err error) {
	t, n := o.flat.Value.Type, o.flat.Value.Len()
	moment := int64(0)
	if o.flat.M.Addr == 0 {
		moment = (o.flat.Value.Bytes() + alignBytes - 1) / alignBytes * alignBytes
	}
	if o.memory, err = o.backend.Alloc(2*moment + alignBytes + int64(8*len(o.controls))); err != nil {
		return err
	}
	if moment > 0 {
		o.flat.M, o.flat.V = o.memory.At(0, t, n, 1), o.memory.At(moment, t, n, 1)
	}
	o.squares = o.memory.At(2*moment, device.F64, 2, 1)
	o.control = o.memory.At(2*moment+alignBytes, device.F64, len(o.controls), 1)
	return nil
}

// Close gives back the memory that New reserved.
func (o *AdamW) Close() { o.backend.Free(o.memory) }

func (o *AdamW) bind() error {
	f, c := o.flat, o.config
	o.updates = make([]step, len(o.groups))
	errs := []error{
		o.bindStep(&o.grads, "sum_squares", nil, o.squares.Row(0, 1), f.Grad),
		o.bindStep(&o.values, "sum_squares", nil, o.squares.Row(1, 1), f.Value),
		o.bindStep(&o.moments[0], "sum_squares", nil, o.squares.Row(0, 1), f.M),
		o.bindStep(&o.moments[1], "sum_squares", nil, o.squares.Row(1, 1), f.V),
		o.bindStep(&o.zero, "zero", nil, f.Grad),
	}
	attr := device.AdamW{Beta1: c.Beta1, Beta2: c.Beta2, Eps: c.Eps, WeightDecay: c.WeightDecay}
	for i, g := range o.groups {
		s, attr := f.slice(g), attr
		if g.NoDecay {
			attr.WeightDecay = 0
		}
		errs = append(errs, o.bindStep(&o.updates[i], "adamw", attr, s.Value, s.Grad, o.control.Row(4*i, 4)))
		o.updates[i].call.Out = append(o.updates[i].call.Out, s.M, s.V)
	}
	return errors.Join(errs...)
}

func (o *AdamW) bindStep(s *step, kernel string, attr any, out device.View, in ...device.View) (err error) {
	s.kernel, err = o.backend.Bind(kernel, attr)
	s.call = device.Call{Out: []device.View{out}, In: in}
	return err
}

// Flat are the buffers, moments included.
func (o *AdamW) Flat() Flat { return o.flat }

// Zero clears the gradients.
func (o *AdamW) Zero() error { return o.zero.run() }

// Step updates the values at the given learning rate and returns the gradient
// norm before clipping. Where a gradient or a value is NaN or infinite it
// returns a *ErrNotFinite and has changed nothing. It allocates nothing.
func (o *AdamW) Step(learningRate float64) (gradNorm float64, err error) {
	gradNorm, valueNorm, err := o.norms(&o.grads, &o.values)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(finite("gradient norm", gradNorm), finite("norm of the trained values", valueNorm), finite("learning rate", learningRate)); err != nil {
		return gradNorm, err
	}
	o.Updates++
	o.setControls(gradNorm, learningRate)
	if err := o.backend.Upload(o.control, float64Bytes(o.controls)); err != nil {
		return gradNorm, err
	}
	for i := range o.updates {
		if err := o.updates[i].run(); err != nil {
			return gradNorm, err
		}
	}
	return gradNorm, nil
}

// Check returns a *ErrNotFinite where a value or a moment is NaN or infinite:
// a state that must not be saved.
func (o *AdamW) Check() error {
	m, v, err := o.norms(&o.moments[0], &o.moments[1])
	if err != nil {
		return err
	}
	_, value, err := o.norms(&o.grads, &o.values)
	if err != nil {
		return err
	}
	return errors.Join(finite("norm of the trained values", value), finite("norm of the first moments", m), finite("norm of the second moments", v))
}

// norms runs two sums of squares and reads both at once, because a read waits
// for the device.
func (o *AdamW) norms(first, second *step) (a, b float64, err error) {
	if err := first.run(); err != nil {
		return 0, 0, err
	}
	if err := second.run(); err != nil {
		return 0, 0, err
	}
	if err := o.backend.Download(float64Bytes(o.read[:]), o.squares); err != nil {
		return 0, 0, err
	}
	return math.Sqrt(o.read[0]), math.Sqrt(o.read[1]), nil
}

func finite(what string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return &ErrNotFinite{what, v}
	}
	return nil
}

func (o *AdamW) setControls(gradNorm, learningRate float64) {
	t := float64(o.Updates)
	bias1, bias2 := 1-math.Pow(o.config.Beta1, t), 1-math.Pow(o.config.Beta2, t)
	for i, g := range o.groups {
		copy(o.controls[4*i:], []float64{o.clipScale(gradNorm), learningRate * g.LearningRateScale, bias1, bias2})
	}
}

// clipScale brings the gradient down to the clip. PyTorch's clip_grad_norm_
// adds 1e-6 to the norm; so do we, for equal trajectories.
func (o *AdamW) clipScale(norm float64) float64 {
	if o.config.Clip == 0 {
		return 1
	}
	return min(1, o.config.Clip/(norm+1e-6))
}

func float64Bytes(v []float64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 8*len(v))
}
