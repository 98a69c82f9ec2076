package optim_test

import (
	"errors"
	"math"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/optim"
)

// Values of transformers.get_scheduler at optimizer step k (its lambda at k-1),
// learning rate 1, 10 steps: linear and cosine written out from its source.
func TestSchedulesEqualTransformers(t *testing.T) {
	for _, c := range []struct {
		name string
		s    optim.Schedule
		want []float64
	}{
		{"constant", optim.Schedule{Kind: "constant", LearningRate: 1, Steps: 10}, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"linear", optim.Schedule{Kind: "linear", LearningRate: 1, Steps: 10}, []float64{1, .9, .8, .7, .6, .5, .4, .3, .2, .1}},
		{"linear, 2 warm-up steps", optim.Schedule{Kind: "linear", LearningRate: 1, Warmup: 2, Steps: 10}, []float64{0, .5, 1, .875, .75, .625, .5, .375, .25, .125}},
		{"linear, a fifth warm-up", optim.Schedule{Kind: "linear", LearningRate: 1, Warmup: 0.2, Steps: 10}, []float64{0, .5, 1, .875}},
		{"cosine", optim.Schedule{Kind: "cosine", LearningRate: 1, Steps: 4}, []float64{1, 0.5 * (1 + math.Sqrt2/2), 0.5, 0.5 * (1 - math.Sqrt2/2), 0}},
	} {
		for i, want := range c.want {
			if got := c.s.At(i + 1); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: step %d is %v, want %v", c.name, i+1, got, want)
			}
		}
	}
}

// buffers are a Flat of n elements on a fresh backend.
func buffers(t *testing.T, act device.Type, n int) (device.Backend, optim.Flat) {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: act})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	mem, err := b.Alloc(int64(2 * n * 8))
	if err != nil {
		t.Fatal(err)
	}
	return b, optim.Flat{Value: mem.At(0, act, n, 1), Grad: mem.At(int64(8*n), act, n, 1)}
}

func put(t *testing.T, b device.Backend, v device.View, x []float64) {
	t.Helper()
	if err := b.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 8*len(x))); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, b device.Backend, v device.View) []float64 {
	t.Helper()
	x := make([]float64, v.Len())
	if err := b.Download(unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 8*len(x)), v); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestAdamWEqualsItsFormula(t *testing.T) {
	const n, decay, clip = 5, 0.1, 0.5
	b, flat := buffers(t, device.F64, n)
	o, err := optim.New(b, optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: decay, Clip: clip}, flat)
	if err != nil {
		t.Fatal(err)
	}
	p := []float64{1, -2, 0.5, 3, 0}
	m, v := make([]float64, n), make([]float64, n)
	put(t, b, flat.Value, p)
	for step := 1; step <= 30; step++ {
		g, norm, rate := make([]float64, n), 0.0, 0.01*float64(step)
		for i := range g {
			g[i] = math.Sin(float64(step * (i + 1)))
			norm += g[i] * g[i]
		}
		norm = math.Sqrt(norm)
		put(t, b, flat.Grad, g)
		got, err := o.Step(rate)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got-norm) > 1e-12 {
			t.Fatalf("step %d: norm is %v, want %v", step, got, norm)
		}
		for i := range p {
			x := g[i] * min(1, clip/(norm+1e-6))
			m[i], v[i] = 0.9*m[i]+0.1*x, 0.999*v[i]+0.001*x*x
			mean, square := m[i]/(1-math.Pow(0.9, float64(step))), v[i]/(1-math.Pow(0.999, float64(step)))
			p[i] -= rate * (mean/(math.Sqrt(square)+1e-8) + decay*p[i])
		}
	}
	for i, x := range get(t, b, flat.Value) {
		if math.Abs(x-p[i]) > 1e-12 {
			t.Errorf("value %d is %v, want %v", i, x, p[i])
		}
	}
	if o.Updates != 30 {
		t.Errorf("%d updates, want 30", o.Updates)
	}
}

func TestAGradientThatIsNotFiniteChangesNothing(t *testing.T) {
	b, flat := buffers(t, device.F64, 3)
	o, err := optim.New(b, optim.DefaultConfig(), flat)
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, flat.Value, []float64{1, 2, 3})
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		put(t, b, flat.Grad, []float64{1, bad, 1})
		var notFinite *optim.ErrNotFinite
		if _, err := o.Step(1); !errors.As(err, &notFinite) || notFinite.What != "gradient norm" {
			t.Errorf("gradient %v: error is %v", bad, err)
		}
	}
	if got := get(t, b, flat.Value); got[0] != 1 || got[1] != 2 || got[2] != 3 || o.Updates != 0 {
		t.Errorf("values are %v after %d updates", got, o.Updates)
	}
}

func TestAStepAllocatesNothing(t *testing.T) {
	const n = 9000 // three blocks of sum_squares
	b, flat := buffers(t, device.F64, n)
	o, err := optim.New(b, optim.DefaultConfig(), flat, optim.Group{Len: 100, LearningRateScale: 1}, optim.Group{First: 100, Len: n - 100, LearningRateScale: 16})
	if err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(20, func() {
		if err := o.Zero(); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Step(0.1); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
