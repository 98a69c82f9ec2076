package model_test

import (
	"math"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/model"
)

// The parameters that the shapes are known to have.
func TestShapes(t *testing.T) {
	want := map[string]int64{"tiny": 4_999_424, "small": 124_668_672, "1b": 1_235_814_400, "8b": 8_030_261_248}
	for _, name := range model.ShapeNames {
		c, err := model.Shape(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Parameters(); got != want[name] {
			t.Errorf("%s has %d parameters, want %d", name, got, want[name])
		}
	}
	if _, err := model.Shape("70b"); err == nil || model.IsShape("70b") {
		t.Error("an unknown shape is no error")
	}
}

// entropyTolerance bounds how far logits of size 0.02 sqrt(C) move the entropy
// of the first prediction from that of the uniform distribution, in nats.
const entropyTolerance = 0.2

// A random model predicts nearly uniformly, and its seed is all that it
// depends on.
func TestRandom(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range []device.Type{device.F32, device.BF16} {
		first := firstEntropy(t, b, c, stored, 1)
		if d := math.Abs(first - math.Log(float64(c.VocabSize))); !(d < entropyTolerance) {
			t.Errorf("%s: entropy %v, want about ln %d", stored, first, c.VocabSize)
		}
		if again := firstEntropy(t, b, c, stored, 1); again != first {
			t.Errorf("%s: the same seed gives %v and %v", stored, first, again)
		}
		if other := firstEntropy(t, b, c, stored, 2); other == first {
			t.Errorf("%s: two seeds give %v", stored, first)
		}
	}
	if _, err := model.Random(c, b, device.F32, device.F16, 1); err == nil {
		t.Error("weights of f16 are no error")
	}
	if _, err := model.Random(model.Config{}, b, device.F32, device.F32, 1); err == nil {
		t.Error("an empty config is no error")
	}
}

// Ensure that random weights are held in blocks as those of a file are.
func TestRandomQuantised(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, name := range append([]string{""}, model.Quantizations...) {
		m, err := model.RandomQuantised(c, b, device.F32, device.BF16, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		sizes[name] = m.Bytes()
		m.Close()
	}
	for _, pair := range [][2]string{{"nf4", "int8"}, {"q4_0", "q8_0"}, {"int8", "q8_0"}, {"q8_0", ""}} {
		if sizes[pair[0]] >= sizes[pair[1]] {
			t.Errorf("%q takes %d bytes and %q %d", pair[0], sizes[pair[0]], pair[1], sizes[pair[1]])
		}
	}
	if _, err := model.RandomQuantised(c, b, device.F32, device.BF16, "q5", 1); err == nil {
		t.Error("blocks of q5 are no error")
	}
}

func firstEntropy(t *testing.T, b device.Backend, c model.Config, stored device.Type, seed uint64) float64 {
	t.Helper()
	m, err := model.Random(c, b, device.F32, stored, seed)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var pack datasets.Pack
	pack.AddExample(datasets.Example{IDs: []int32{1, 2, 3}, LossMask: []bool{false, true, true}}, 0)
	d, err := model.NewDecoder(c, device.F32, model.DecoderOptions{Capacity: model.SizeOf(&pack, 0)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Compile(m, nil, d.Prediction.Entropy)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(&pack, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	entropy, err := s.Float64s(nil, d.Prediction.Entropy)
	if err != nil {
		t.Fatal(err)
	}
	return entropy[0]
}
