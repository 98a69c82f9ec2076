package model_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/graph"
	"align/internal/safetensors"
	"align/model"
)

// tinyConfig is a model whose every weight can be moved one by one.
func tinyConfig(tied bool) model.Config {
	return model.Config{
		HiddenSize: 8, IntermediateSize: 12, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 4,
		VocabSize: 11, ContextLength: 32, RMSNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: tied, BOS: -1,
	}
}

// fullRun is a decoder over a small pack whose loss is a weighted sum of the
// sequences' log-probabilities.
type fullRun struct {
	backend *cpu.Backend
	model   *model.Model
	full    *model.Full
	session *model.Session
	loss    *graph.Node
}

func newFullRun(t testing.TB, c model.Config, act device.Type, o model.DecoderOptions) *fullRun {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: act})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	r := &fullRun{backend: b}
	// A deviation that makes every path through the layers count.
	if r.model, r.full, err = model.NewRandom(c, b, act, 7, 0.4); err != nil {
		t.Fatal(err)
	}
	o.Full, o.Train = r.full, true
	r.compile(t, act, o)
	return r
}

func (r *fullRun) compile(t testing.TB, act device.Type, o model.DecoderOptions) {
	t.Helper()
	pack := smallPack()
	o.Capacity = model.SizeOf(pack, 1)
	d, err := model.NewDecoder(r.model.Config, act, o)
	if err != nil {
		t.Fatal(err)
	}
	weights := d.Vector("weights", device.F64, graph.Sequences)
	r.loss = d.Dot(d.SequenceLogProbs, weights)
	if r.session, err = d.Compile(r.model, r.loss); err != nil {
		t.Fatal(err)
	}
	if err := r.session.Load(pack, 1); err != nil {
		t.Fatal(err)
	}
	if err := r.session.SetFloat64s(weights, []float64{-0.7, 0.4}); err != nil {
		t.Fatal(err)
	}
}

// smallPack holds two documents; a token occurs twice, so that its row of the
// embedding gets two gradients.
func smallPack() *datasets.Pack {
	p := &datasets.Pack{}
	p.AddExample(datasets.Example{IDs: []int32{1, 4, 2, 4, 9}, LossMask: []bool{true, true, true, true, true}}, 1)
	p.AddExample(datasets.Example{IDs: []int32{3, 10, 1}, LossMask: []bool{true, true, true}}, 2)
	return p
}

func (r *fullRun) run(t testing.TB) float64 {
	t.Helper()
	if err := r.session.Run(); err != nil {
		t.Fatal(err)
	}
	v, err := r.session.Float64s(nil, r.loss)
	if err != nil {
		t.Fatal(err)
	}
	return v[0]
}

func (r *fullRun) read(t testing.TB, v device.View) []float64 {
	t.Helper()
	values, err := model.ReadFloats(r.backend, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// set writes one float64 element of the values.
func (r *fullRun) set(t testing.TB, i int, x float64) {
	t.Helper()
	if err := r.backend.Upload(r.full.Value.Row(i, 1), unsafe.Slice((*byte)(unsafe.Pointer(&x)), 8)); err != nil {
		t.Fatal(err)
	}
}

// Central differences in float64 with a step of 1e-5 are good to about 1e-10
// times the third derivative; the gradients here are of the order of 1.
const (
	differenceStep = 1e-5
	differenceTol  = 1e-7
)

// TestFullGradients holds the gradient of every element of every weight to
// central differences through the whole decoder.
func TestFullGradients(t *testing.T) {
	notUnderRaces(t)
	biased := tinyConfig(false)
	biased.AttentionBias, biased.MLPBias, biased.QKNorm = true, true, true
	for name, c := range map[string]model.Config{"untied": tinyConfig(false), "tied": tinyConfig(true), "biases and qk_norm": biased} {
		t.Run(name, func(t *testing.T) {
			r := newFullRun(t, c, device.F64, model.DecoderOptions{Save: exec.SaveAttention})
			r.run(t)
			grads, values := r.read(t, r.full.Grad), r.read(t, r.full.Value)
			for _, w := range r.full.Weights {
				r.checkWeight(t, w, values, grads)
			}
		})
	}
}

func (r *fullRun) checkWeight(t *testing.T, w model.FullWeight, values, grads []float64) {
	largest := 0.0
	for i := w.Offset; i < w.Offset+w.Rows*max(w.Cols, 1); i++ {
		r.set(t, i, values[i]+differenceStep)
		up := r.run(t)
		r.set(t, i, values[i]-differenceStep)
		down := r.run(t)
		r.set(t, i, values[i])
		want := (up - down) / (2 * differenceStep)
		largest = max(largest, math.Abs(want))
		if off := math.Abs(grads[i] - want); !(off <= differenceTol*max(1, math.Abs(want))) {
			t.Fatalf("%s element %d: gradient %v, differences give %v", w.Name, i-w.Offset, grads[i], want)
		}
	}
	if largest == 0 {
		t.Errorf("%s: every gradient is 0", w.Name)
	}
}

// TestFullSavePolicies: what is kept and what is computed again moves no bit,
// and neither does a graph without recompute.
func TestFullSavePolicies(t *testing.T) {
	notUnderRaces(t)
	for _, tied := range []bool{false, true} {
		want := newFullRun(t, tinyConfig(tied), device.F32, model.DecoderOptions{Flat: true})
		loss := want.run(t)
		grads := want.read(t, want.full.Grad)
		for _, policy := range exec.SavePolicies {
			t.Run(fmt.Sprintf("tied=%v/%s", tied, policy), func(t *testing.T) {
				r := newFullRun(t, tinyConfig(tied), device.F32, model.DecoderOptions{Save: policy})
				if got := r.run(t); got != loss {
					t.Errorf("loss %v, flat %v", got, loss)
				}
				if !slices.Equal(r.read(t, r.full.Grad), grads) {
					t.Error("gradients differ from the flat graph's")
				}
			})
		}
	}
}

// TestFullAccumulates: a second run adds the same gradients again.
func TestFullAccumulates(t *testing.T) {
	r := newFullRun(t, tinyConfig(true), device.F64, model.DecoderOptions{Save: exec.SaveAll})
	r.run(t)
	once := r.read(t, r.full.Grad)
	r.run(t)
	for i, twice := range r.read(t, r.full.Grad) {
		// 1e-12: the second sum begins from the first's value, not from 0.
		if math.Abs(twice-2*once[i]) > 1e-12 {
			t.Fatalf("element %d: %v after two runs, %v after one", i, twice, once[i])
		}
	}
}

// TestFullRoundTrip writes the weights and reads them back, as Full and as a
// frozen model that computes the same.
func TestFullRoundTrip(t *testing.T) {
	for _, tied := range []bool{false, true} {
		r := newFullRun(t, tinyConfig(tied), device.F32, model.DecoderOptions{})
		want := r.run(t)
		values, err := model.ReadFloat32s(r.backend, r.full.Value)
		if err != nil {
			t.Fatal(err)
		}
		dir := writeFull(t, r, values)
		again, err := r.full.ReadWeights(t.Context(), dir)
		if err != nil || !slices.Equal(again, values) {
			t.Fatalf("values differ after a round trip: %v", err)
		}
		m, f, err := model.LoadFull(dir, r.backend, device.F32, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := model.ReadFloat32s(r.backend, f.Value); err != nil || !slices.Equal(got, values) {
			t.Fatalf("LoadFull gives other values: %v", err)
		}
		frozen, err := model.Load(dir, r.backend, device.F32, nil)
		if err != nil {
			t.Fatal(err)
		}
		if frozen.Hash != m.Hash {
			t.Errorf("hashes differ: %s frozen, %s full", frozen.Hash, m.Hash)
		}
		for name, m := range map[string]*model.Model{"full": m, "frozen": frozen} {
			got := &fullRun{backend: r.backend, model: m}
			got.compile(t, device.F32, model.DecoderOptions{})
			if loss := got.run(t); loss != want {
				t.Errorf("%s: loss %v, want %v", name, loss, want)
			}
		}
	}
}

func writeFull(t testing.TB, r *fullRun, values []float32) string {
	t.Helper()
	dir := t.TempDir()
	var weights bytes.Buffer
	if err := r.full.WriteWeights(&weights, model.InMemory(values), safetensors.F32); err != nil {
		t.Fatal(err)
	}
	config, err := r.model.Config.JSON("float32")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"model.safetensors": weights.Bytes(), "config.json": config} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestConfigJSON: what is written is read back as the same config.
func TestConfigJSON(t *testing.T) {
	c := tinyConfig(true)
	c.Architecture, c.DType, c.BOS, c.EOS = "LlamaForCausalLM", "bfloat16", 1, []int32{2, 5}
	c.RopeScaling = model.RopeScaling{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalContextLength: 8192}
	data, err := c.JSON("bfloat16")
	if err != nil {
		t.Fatal(err)
	}
	got, err := model.ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c) {
		t.Errorf("got %+v\nwant %+v", got, c)
	}
}

func TestFullAndAdapterExclude(t *testing.T) {
	_, err := model.NewDecoder(tinyConfig(true), device.F32, model.DecoderOptions{Full: &model.Full{}, Adapter: &model.Adapter{}})
	if err == nil {
		t.Fatal("a decoder with an adapter and trained weights was built")
	}
}
