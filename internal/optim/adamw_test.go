package optim_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/optim"
)

// float32Tolerance is about 30 roundings of a value near 1 to float32.
const float32Tolerance = 30 * 0x1p-24

// reference is AdamW written out in float64 for one element.
type reference struct{ p, m, v float64 }

func (r *reference) step(c optim.Config, g, rate float64, t int) {
	r.m, r.v = c.Beta1*r.m+(1-c.Beta1)*g, c.Beta2*r.v+(1-c.Beta2)*g*g
	mean, square := r.m/(1-math.Pow(c.Beta1, float64(t))), r.v/(1-math.Pow(c.Beta2, float64(t)))
	r.p -= rate * (mean/(math.Sqrt(square)+c.Eps) + c.WeightDecay*r.p)
}

func put32(t *testing.T, b device.Backend, v device.View, x []float32) {
	t.Helper()
	if err := b.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))); err != nil {
		t.Fatal(err)
	}
}

func get32(t *testing.T, b device.Backend, v device.View) []float32 {
	t.Helper()
	x := make([]float32, v.Len())
	if err := b.Download(unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x)), v); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestFloat32FollowsTheReference(t *testing.T) {
	for _, c := range []optim.Config{
		{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1},
		{Beta1: 0.8, Beta2: 0.95, Eps: 1e-3},
		{Beta1: 0, Beta2: 0.99, Eps: 1e-6},
	} {
		followsTheReference(t, c)
	}
}

func followsTheReference(t *testing.T, c optim.Config) {
	const n = 7
	b, flat := buffers(t, device.F32, n)
	o, err := optim.New(b, c, flat)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	want, start := make([]reference, n), make([]float32, n)
	for i := range start {
		start[i] = float32(i) / 8
		want[i].p = float64(start[i])
	}
	put32(t, b, flat.Value, start)
	for step := 1; step <= 30; step++ {
		g := make([]float32, n)
		for i := range g {
			g[i] = float32(math.Cos(float64(step * (i + 1))))
			want[i].step(c, float64(g[i]), 0.01, step)
		}
		put32(t, b, flat.Grad, g)
		if _, err := o.Step(0.01); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range get32(t, b, flat.Value) {
		if math.Abs(float64(got)-want[i].p) > float32Tolerance {
			t.Errorf("%+v: value %d is %v, want %v", c, i, got, want[i].p)
		}
	}
}

// A group has its own rate; the norm that clips is over all elements, those of
// no group included, and these stay as they are.
func TestGroups(t *testing.T) {
	b, flat := buffers(t, device.F64, 6)
	config := optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1}
	o, err := optim.New(b, config, flat, optim.Group{First: 0, Len: 2, LearningRateScale: 1}, optim.Group{First: 3, Len: 3, LearningRateScale: 16})
	if err != nil {
		t.Fatal(err)
	}
	g := []float64{1, -2, 3, 4, -5, 6}
	want := make([]reference, len(g))
	for step := 1; step <= 5; step++ {
		put(t, b, flat.Grad, g)
		norm, err := o.Step(0.01)
		if err != nil {
			t.Fatal(err)
		}
		for i, rate := range []float64{0.01, 0.01, 0, 0.16, 0.16, 0.16} {
			want[i].step(config, g[i]/(norm+1e-6), rate, step)
		}
		if norm != math.Sqrt(1+4+9+16+25+36) {
			t.Errorf("norm is %v", norm)
		}
	}
	for i, got := range get(t, b, flat.Value) {
		if math.Abs(got-want[i].p) > 1e-12 {
			t.Errorf("value %d is %v, want %v", i, got, want[i].p)
		}
	}
}

func TestValuesAndRatesThatAreNotFinite(t *testing.T) {
	tests := []struct {
		name  string
		value float64
		rate  float64
		what  string
	}{
		{"value", math.NaN(), 1, "norm of the trained values"},
		{"rate", 1, math.Inf(1), "learning rate"},
	}
	for _, tt := range tests {
		b, flat := buffers(t, device.F64, 2)
		o, err := optim.New(b, optim.DefaultConfig(), flat)
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, flat.Value, []float64{2, tt.value})
		put(t, b, flat.Grad, []float64{1, 1})
		var bad *optim.ErrNotFinite
		if _, err := o.Step(tt.rate); !errors.As(err, &bad) || bad.What != tt.what {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.what)
		}
		if got := get(t, b, flat.Value)[0]; got != 2 || o.Updates != 0 {
			t.Errorf("%s: value is %v after %d updates", tt.name, got, o.Updates)
		}
	}
}

// One bad element of any buffer that gets saved fails Check.
func TestCheck(t *testing.T) {
	for _, what := range []string{"trained values", "first moments", "second moments"} {
		b, flat := buffers(t, device.F64, 5000)
		o, err := optim.New(b, optim.DefaultConfig(), flat)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		view := map[string]device.View{"trained values": o.Flat().Value, "first moments": o.Flat().M, "second moments": o.Flat().V}[what]
		put(t, b, view.Row(4999, 1), []float64{math.Inf(-1)})
		var bad *optim.ErrNotFinite
		if err := o.Check(); !errors.As(err, &bad) || !strings.Contains(bad.What, what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	b, flat := buffers(t, device.F64, 4)
	short, narrow, noGrad, oneMoment := flat, flat, flat, flat
	short.Grad.Rows = 3
	narrow.Grad.Type = device.F32
	noGrad.Grad = device.View{}
	oneMoment.M = flat.Grad
	config := optim.DefaultConfig()
	bad := optim.Config{Beta1: 1, Beta2: -1, Eps: math.Inf(1), WeightDecay: math.NaN(), Clip: -1}
	tests := []struct {
		name   string
		config optim.Config
		flat   optim.Flat
		groups []optim.Group
		faults int
	}{
		{"constants", bad, flat, nil, 5},
		{"empty", config, optim.Flat{}, nil, 1},
		{"short gradient", config, short, nil, 1},
		{"gradient type", config, narrow, nil, 1},
		{"no gradient", config, noGrad, nil, 1},
		{"one moment", config, oneMoment, nil, 1},
		{"overlap", config, flat, []optim.Group{{First: 0, Len: 3, LearningRateScale: 1}, {First: 2, Len: 2, LearningRateScale: 1}}, 1},
		{"beyond", config, flat, []optim.Group{{First: 0, Len: 5, LearningRateScale: 1}}, 1},
		{"overflow", config, flat, []optim.Group{{First: 1, Len: math.MaxInt, LearningRateScale: 1}}, 1},
		{"no length", config, flat, []optim.Group{{First: 1, Len: 0, LearningRateScale: 1}}, 1},
		{"scale", config, flat, []optim.Group{{First: 0, Len: 4, LearningRateScale: math.NaN()}}, 1},
	}
	for _, tt := range tests {
		_, err := optim.New(b, tt.config, tt.flat, tt.groups...)
		if err == nil || strings.Count(err.Error(), "optim:") != tt.faults {
			t.Errorf("%s: got %v, want %d faults", tt.name, err, tt.faults)
		}
	}
}

// Ten steps, saved and read into another optimizer, and ten more are twenty
// steps, to the last bit.
func TestMomentsSurviveAFile(t *testing.T) {
	for _, act := range []device.Type{device.F32, device.F64} {
		whole, half, again := newDrill(t, act), newDrill(t, act), newDrill(t, act)
		whole.steps(1, 20)
		half.steps(1, 10)
		path := half.save()
		again.load(path, half)
		again.steps(11, 20)
		for i, v := range again.views() {
			if !bytes.Equal(again.bytes(v), whole.bytes(whole.views()[i])) {
				t.Errorf("%s: buffer %d differs", act, i)
			}
		}
	}
}

// drill is an optimizer that is given gradients by step.
type drill struct {
	t *testing.T
	b device.Backend
	o *optim.AdamW
}

const drillSize = 1<<20 + 5 // longer than one piece of a file's

func newDrill(t *testing.T, act device.Type) *drill {
	b, flat := buffers(t, act, drillSize)
	o, err := optim.New(b, optim.DefaultConfig(), flat)
	if err != nil {
		t.Fatal(err)
	}
	return &drill{t, b, o}
}

func (d *drill) views() []device.View {
	f := d.o.Flat()
	return []device.View{f.Value, f.M, f.V}
}

func (d *drill) bytes(v device.View) []byte {
	raw := make([]byte, v.Bytes())
	if err := d.b.Download(raw, v); err != nil {
		d.t.Fatal(err)
	}
	return raw
}

func (d *drill) steps(first, last int) {
	d.t.Helper()
	grad := d.o.Flat().Grad
	for step := first; step <= last; step++ {
		for i := range 9 { // the first and the last elements; the others stay 0
			at := (i * (drillSize - 1)) / 8
			if grad.Type == device.F64 {
				put(d.t, d.b, grad.Row(at, 1), []float64{math.Sin(float64(step * (i + 1)))})
			} else {
				put32(d.t, d.b, grad.Row(at, 1), []float32{float32(math.Sin(float64(step * (i + 1))))})
			}
		}
		if _, err := d.o.Step(0.01); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *drill) save() string {
	path := filepath.Join(d.t.TempDir(), "optimizer.safetensors")
	f, err := os.Create(path)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := errors.Join(d.o.WriteMoments(f), f.Close()); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func (d *drill) load(path string, from *drill) {
	d.o.Updates = from.o.Updates
	err := errors.Join(d.o.ReadMoments(context.Background(), path), d.b.Upload(d.o.Flat().Value, from.bytes(from.o.Flat().Value)))
	if err != nil {
		d.t.Fatal(err)
	}
}

func TestMomentsOfAnotherShapeAreRefused(t *testing.T) {
	d := newDrill(t, device.F32)
	path := d.save()
	even, flat := buffers(t, device.F32, 8)
	o, err := optim.New(even, optim.DefaultConfig(), flat)
	if err != nil {
		t.Fatal(err)
	}
	sameBytes := (&drill{t, even, o}).save()
	tests := []struct {
		path string
		act  device.Type
		n    int
	}{{path, device.F32, drillSize - 1}, {path, device.F64, drillSize}, {sameBytes, device.F64, 4}}
	for _, tt := range tests {
		b, flat := buffers(t, tt.act, tt.n)
		o, err := optim.New(b, optim.DefaultConfig(), flat)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.ReadMoments(context.Background(), tt.path); err == nil || !strings.Contains(err.Error(), `tensor "exp_avg`) {
			t.Errorf("%d of %s: got %v", tt.n, tt.act, err)
		}
	}
}

// Reading the moments ends with the context: those of all weights take minutes.
func TestReadingMomentsEnds(t *testing.T) {
	d := newDrill(t, device.F32)
	path := d.save()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.o.ReadMoments(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
