package model_test

import (
	"math"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/exec"
	"align/model"
)

// randomAdapter has factors on every linear layer; its values are multiples of
// 2^-12, so that steps of that size are exact in float32.
func randomAdapter(t testing.TB, base model.Config) (*model.Adapter, []float32) {
	t.Helper()
	a, err := model.NewAdapter(base, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	values := a.Initial(1)
	for _, f := range a.Factors {
		for i := range f.Out * f.Rank {
			values[f.OffsetB+i] = float32(math.Sin(float64(i+f.OffsetB))) / 8
		}
	}
	for i, v := range values {
		values[i] = float32(math.Round(float64(v)*4096) / 4096)
	}
	return a, values
}

// lossAndGrad is minus the log-likelihood of a text, and its gradient.
func lossAndGrad(t testing.TB, m *model.Model, a *model.Adapter, values []float32) (float64, []float64) {
	t.Helper()
	b := m.Backend()
	if a.Value.Addr == 0 {
		if err := m.AllocAdapter(a, values); err != nil {
			t.Fatal(err)
		}
	}
	if err := model.WriteFloats(b, a.Value, values); err != nil {
		t.Fatal(err)
	}
	if err := model.WriteFloats(b, a.Grad, make([]float32, a.Len)); err != nil {
		t.Fatal(err)
	}
	p := &datasets.Pack{}
	document(p, text(m.Config.VocabSize))
	d, err := m.NewDecoder(model.DecoderOptions{Capacity: model.SizeOf(p, 1), Adapter: a, Train: true, Save: exec.SaveNone})
	if err != nil {
		t.Fatal(err)
	}
	loss := weighted(d)
	s, err := d.Compile(m, loss)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(p, 1); err != nil {
		t.Fatal(err)
	}
	for _, n := range d.Inputs() {
		if n.Name() == "weights" {
			if err := s.SetFloat64s(n, []float64{1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	v, err := s.Float64s(nil, loss)
	if err != nil {
		t.Fatal(err)
	}
	grad, err := model.ReadFloats(b, nil, a.Grad)
	if err != nil {
		t.Fatal(err)
	}
	return v[0], grad
}

// slopeTolerance is of a central difference of fourth order with steps of
// 2^-12 in float64, relative to the gradient's largest element.
const slopeTolerance = 1e-8

// Ensure that an adapter trains on a quantised base: its gradient is the slope
// of the loss over the quantised weights.
func TestAnAdapterTrainsOnAQuantisedBase(t *testing.T) {
	notUnderRaces(t)
	base := wideModel(t)
	for _, c := range []struct {
		name, path string
		options    model.LoadOptions
	}{
		{"gguf q8_0", asGGUF(t, base, "q8_0"), model.LoadOptions{}},
		{"gguf q4_k", asGGUF(t, base, "q4_k"), model.LoadOptions{}},
		{"gguf q6_k", asGGUF(t, base, "q6_k"), model.LoadOptions{}},
		{"nf4", base, model.LoadOptions{Quantize: "nf4", DoubleQuant: true}},
		{"int8", base, model.LoadOptions{Quantize: "int8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, c.path, openCPU(t, device.F64), device.F64, c.options)
			a, values := randomAdapter(t, m.Config)
			_, grad := lossAndGrad(t, m, a, values)
			for _, at := range []int{a.Factors[0].OffsetA + 5, a.Factors[6].OffsetB + 7} { // of q_proj and down_proj
				within(t, "gradient", math.Abs(slope(t, m, a, values, at)-grad[at])/largest(grad), slopeTolerance)
			}
			single := load(t, c.path, openCPU(t, device.F32), device.F32, c.options)
			b, _ := randomAdapter(t, m.Config)
			_, got := lossAndGrad(t, single, b, values)
			within(t, "float32 gradient", difference(t, got, grad)/largest(grad), tolerances[device.F32].grads)
		})
	}
}

func slope(t testing.TB, m *model.Model, a *model.Adapter, values []float32, at int) float64 {
	t.Helper()
	const h = 1.0 / 4096
	f := func(steps float32) float64 {
		moved := append([]float32(nil), values...)
		moved[at] += steps * h
		loss, _ := lossAndGrad(t, m, a, moved)
		return loss
	}
	return (8*(f(1)-f(-1)) - (f(2) - f(-2))) / (12 * h)
}
