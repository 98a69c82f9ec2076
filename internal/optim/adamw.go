package optim

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"align/internal/device"
)

// Flat is one set of trained values in flat buffers of equal length and type
// on the device: values, gradients and AdamW's two moments.
type Flat struct{ Value, Grad, M, V device.View }

// Config are AdamW's constants. Clip is the largest global gradient norm; 0
// turns clipping off.
type Config struct {
	Beta1, Beta2, Eps, WeightDecay, Clip float64
}

// DefaultConfig are the constants of PyTorch's AdamW without weight decay, and
// TRL's clip.
func DefaultConfig() Config { return Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1} }

// AdamW updates a Flat with decoupled weight decay
// (https://arxiv.org/abs/1711.05101, algorithm 2):
//
//	m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
//	p = p - rate ( m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + decay p )
type AdamW struct {
	// Updates is t, the number of updates so far: part of the state to save.
	Updates int

	config  Config
	backend device.Backend
	flat    Flat
	norm    device.View // F64 [1]
	control device.View // F64 [4]
	square  step
	values  step
	update  step
	zero    step
	host    [4]float64
}

// step is a bound kernel with its call.
type step struct {
	kernel device.Kernel
	call   device.Call
}

func (s *step) run() error { return s.kernel(&s.call) }

// ErrNotFinite is returned when the gradient norm is NaN or infinite; nothing
// has been updated then.
var ErrNotFinite = errors.New("gradient norm is not finite")

// New binds the optimizer to a set of buffers. It reserves M and V where the
// caller left them out.
func New(b device.Backend, c Config, flat Flat) (*AdamW, error) {
	if flat.Value.Len() != flat.Grad.Len() || flat.Value.Type != flat.Grad.Type {
		return nil, fmt.Errorf("optim: values and gradients differ: %d and %d elements", flat.Value.Len(), flat.Grad.Len())
	}
	o := &AdamW{config: c, backend: b, flat: flat}
	if err := o.reserve(); err != nil {
		return nil, err
	}
	return o, o.bind()
}

func (o *AdamW) reserve() error {
	bytes := (o.flat.Value.Bytes() + 255) / 256 * 256
	mem, err := o.backend.Alloc(2*bytes + 512)
	if err != nil {
		return err
	}
	t, n := o.flat.Value.Type, o.flat.Value.Len()
	if o.flat.M.Addr == 0 {
		o.flat.M, o.flat.V = mem.At(0, t, n, 1), mem.At(bytes, t, n, 1)
	}
	o.norm, o.control = mem.At(2*bytes, device.F64, 1, 1), mem.At(2*bytes+256, device.F64, 4, 1)
	return nil
}

func (o *AdamW) bind() (err error) {
	f := o.flat
	attr := device.AdamW{Beta1: o.config.Beta1, Beta2: o.config.Beta2, Eps: o.config.Eps, WeightDecay: o.config.WeightDecay}
	for _, s := range []struct {
		to      *step
		kernel  string
		attr    any
		out, in []device.View
	}{
		{&o.square, "sum_squares", nil, []device.View{o.norm}, []device.View{f.Grad}},
		{&o.values, "sum_squares", nil, []device.View{o.norm}, []device.View{f.Value}},
		{&o.update, "adamw", attr, []device.View{f.Value, f.M, f.V}, []device.View{f.Grad, o.control}},
		{&o.zero, "zero", nil, []device.View{f.Grad}, nil},
	} {
		if s.to.kernel, err = o.backend.Bind(s.kernel, s.attr); err != nil {
			return fmt.Errorf("optim: %w", err)
		}
		s.to.call = device.Call{Out: s.out, In: s.in}
	}
	return nil
}

// Flat are the buffers, moments included.
func (o *AdamW) Flat() Flat { return o.flat }

// Zero clears the gradients.
func (o *AdamW) Zero() error { return o.zero.run() }

// Step updates the values at the given learning rate and returns the gradient
// norm before clipping. On ErrNotFinite it has changed nothing.
func (o *AdamW) Step(learningRate float64) (gradNorm float64, err error) {
	if gradNorm, err = o.read(&o.square); err != nil {
		return 0, err
	}
	if math.IsNaN(gradNorm) || math.IsInf(gradNorm, 0) {
		return gradNorm, ErrNotFinite
	}
	o.Updates++
	t := float64(o.Updates)
	o.host = [4]float64{o.scale(gradNorm), learningRate, 1 - math.Pow(o.config.Beta1, t), 1 - math.Pow(o.config.Beta2, t)}
	if err := o.backend.Upload(o.control, float64Bytes(o.host[:])); err != nil {
		return gradNorm, err
	}
	return gradNorm, o.update.run()
}

// Norm is the norm of the values: NaN or infinite where one of them is.
func (o *AdamW) Norm() (float64, error) { return o.read(&o.values) }

// read runs a sum of squares and returns its root.
func (o *AdamW) read(s *step) (float64, error) {
	if err := s.run(); err != nil {
		return 0, err
	}
	if err := o.backend.Download(float64Bytes(o.host[:1]), o.norm); err != nil {
		return 0, err
	}
	return math.Sqrt(o.host[0]), nil
}

// scale brings the gradient down to the clip. PyTorch's clip_grad_norm_ adds
// 1e-6 to the norm; so do we, for equal trajectories.
func (o *AdamW) scale(norm float64) float64 {
	if o.config.Clip <= 0 {
		return 1
	}
	return min(1, o.config.Clip/(norm+1e-6))
}

func float64Bytes(v []float64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 8*len(v))
}
