package model_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/fixture"
	"align/internal/graph"
	"align/internal/safetensors"
	"align/model"
)

// golden is one model with its reference values.
type golden struct {
	Base         string    `json:"base"`
	LoRA         string    `json:"lora"`
	IDs          []int32   `json:"ids"`
	Docs         []int32   `json:"docs"`
	LogProbsBase []float64 `json:"logprobs_base"`
	LogProbsLoRA []float64 `json:"logprobs_lora"`
	LogProbsDocs []float64 `json:"logprobs_docs_lora"`
	SFTToken     float64   `json:"sft_loss_token"`
	SFTSequence  float64   `json:"sft_loss_sequence"`
	DPO          goldenDPO `json:"dpo_b0.1"`
	DPONLL       goldenDPO `json:"dpo_b0.1_nll0.2"`
	DPOSmooth    goldenDPO `json:"dpo_b0.5_ls0.1"`
	dir          string
	model        *model.Model
	adapter      *model.Adapter
	act          device.Type
	values       []float32
	backend      device.Backend
	grads        float64 // limit of gradients, of tolerances
}

type goldenDPO struct {
	Loss  float64 `json:"loss"`
	Pairs []struct {
		PolicyChosen      float64 `json:"pol_chosen"`
		PolicyRejected    float64 `json:"pol_rejected"`
		ReferenceChosen   float64 `json:"ref_chosen"`
		ReferenceRejected float64 `json:"ref_rejected"`
		Margin            float64 `json:"margin"`
		Loss              float64 `json:"loss"`
	} `json:"pairs"`
}

var goldenNames = []string{"tiny", "tied", "tiny-bf16-sharded", "stories260K"}

// tolerance holds the limits of one activation type: logits relative to the
// largest logit, log-probabilities likewise, losses and gradients relative.
type tolerance struct{ logits, logProbs, logProbFloor, sft, dpo, grads float64 }

// float32: the limits that the main job states. float64: the goldens are
// float64 values of another implementation; 1e-9 is what the main job states.
var tolerances = map[device.Type]tolerance{
	device.F32: {logits: 2e-5, logProbs: 2e-6, logProbFloor: 1e-5, sft: 1e-6, dpo: 2e-5, grads: 1e-4},
	device.F64: {logits: 1e-9, logProbs: 1e-9, logProbFloor: 1e-9, sft: 1e-9, dpo: 1e-9, grads: 1e-9},
}

func forEachGolden(t *testing.T, f func(*testing.T, *golden)) {
	dir := fixture.Path(t)
	for _, name := range goldenNames {
		for _, act := range []device.Type{device.F32, device.F64} {
			t.Run(fmt.Sprintf("%s/%v", name, act), func(t *testing.T) { f(t, openGolden(t, dir, name, act)) })
		}
	}
}

func openGolden(t testing.TB, dir, name string, act device.Type) *golden {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: act})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return openGoldenOn(t, dir, name, act, b)
}

func openGoldenOn(t testing.TB, dir, name string, act device.Type, b device.Backend) *golden {
	t.Helper()
	g := &golden{dir: filepath.Join(dir, "golden", name), act: act, backend: b, grads: tolerances[act].grads}
	readJSON(t, filepath.Join(g.dir, "golden.json"), g)
	var err error
	if g.model, err = model.Load(filepath.Join(dir, "golden", g.Base), b, act, nil); err != nil {
		t.Fatal(err)
	}
	if g.adapter, g.values, err = model.ReadAdapter(filepath.Join(dir, "golden", g.LoRA), g.model.Config); err != nil {
		t.Fatal(err)
	}
	if err := g.model.AllocAdapter(g.adapter, g.values); err != nil {
		t.Fatal(err)
	}
	return g
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// append lays one document, or an answer after a prefix, at the pack's end and
// returns its first row.
func appendSegment(p *datasets.Pack, ids []int32, position, prefixStart, prefixEnd int) int {
	start := len(p.IDs)
	for i, id := range ids {
		p.IDs = append(p.IDs, id)
		p.Position = append(p.Position, int32(position+i))
		p.PrefixStart = append(p.PrefixStart, int32(prefixStart))
		p.PrefixEnd = append(p.PrefixEnd, int32(prefixEnd))
		p.SegmentStart = append(p.SegmentStart, int32(start))
		p.DropoutKey = append(p.DropoutKey, int32(1000*p.Sequences+i))
	}
	return start
}

func target(p *datasets.Pack, row int, id int32, sequence int) {
	p.Rows = append(p.Rows, int32(row))
	p.Targets = append(p.Targets, id)
	p.Sequence = append(p.Sequence, int32(sequence))
	p.Sequences = max(p.Sequences, sequence+1)
	for len(p.Tokens) < p.Sequences {
		p.Tokens = append(p.Tokens, 0)
	}
	p.Tokens[sequence]++
}

// document appends ids as one causal document whose every token but the first
// is a target.
func document(p *datasets.Pack, ids []int32) {
	start := appendSegment(p, ids, 0, len(p.IDs), len(p.IDs))
	sequence := p.Sequences
	for i := 1; i < len(ids); i++ {
		target(p, start+i-1, ids[i], sequence)
	}
}

// packs of the golden text: as one document, and as its documents.
func (g *golden) whole() *datasets.Pack {
	p := &datasets.Pack{}
	document(p, g.IDs)
	return p
}

func (g *golden) documents() *datasets.Pack {
	p := &datasets.Pack{}
	for from := 0; from < len(g.IDs); {
		to := from
		for to < len(g.IDs) && g.Docs[to] == g.Docs[from] {
			to++
		}
		document(p, g.IDs[from:to])
		from = to
	}
	return p
}

// decode runs a pack without training; every token's logits are read where all
// is true.
func (g *golden) logProbs(t testing.TB, p *datasets.Pack, a *model.Adapter) []float64 {
	t.Helper()
	d, err := model.NewDecoder(g.model.Config, g.act, model.DecoderOptions{Capacity: model.SizeOf(p, 1), Adapter: a})
	if err != nil {
		t.Fatal(err)
	}
	return g.read(t, d, p, d.Prediction.LogProb)
}

func (g *golden) logits(t testing.TB, p *datasets.Pack, a *model.Adapter) []float64 {
	t.Helper()
	p.Rows, p.Targets, p.Sequence = nil, nil, nil
	for i := range p.IDs {
		target(p, i, 0, 0)
	}
	d, err := model.NewDecoder(g.model.Config, g.act, model.DecoderOptions{Capacity: model.SizeOf(p, 1), Adapter: a})
	if err != nil {
		t.Fatal(err)
	}
	return g.read(t, d, p, d.Wide(d.Hidden, d.Head))
}

func (g *golden) read(t testing.TB, d *model.Decoder, p *datasets.Pack, n *graph.Node) []float64 {
	t.Helper()
	s, err := d.Compile(g.model, nil, n)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(p, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	out, err := s.Float64s(nil, n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// npy reads a float64 matrix in NumPy's format.
func npy(t testing.TB, path string) []float64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body := data[10+int(binary.LittleEndian.Uint16(data[8:])):]
	out := make([]float64, len(body)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:]))
	}
	return out
}

func largest(v []float64) float64 {
	m := 0.0
	for _, x := range v {
		m = max(m, math.Abs(x))
	}
	return m
}

func difference(t testing.TB, got, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d values, want %d", len(got), len(want))
	}
	m := 0.0
	for i := range got {
		m = max(m, math.Abs(got[i]-want[i]))
	}
	return m
}

func within(t *testing.T, what string, got, limit float64) {
	t.Helper()
	if !(got <= limit) {
		t.Errorf("%s is off by %.3g, limit %.3g", what, got, limit)
	}
}

func TestLogitsEqualTheReference(t *testing.T) {
	forEachGolden(t, func(t *testing.T, g *golden) {
		for _, c := range []struct {
			file    string
			pack    *datasets.Pack
			adapter *model.Adapter
		}{{"logits_base", g.whole(), nil}, {"logits_lora", g.whole(), g.adapter}, {"logits_docs", g.documents(), nil}} {
			want := npy(t, filepath.Join(g.dir, c.file+".npy"))
			got := g.logits(t, c.pack, c.adapter)
			within(t, c.file, difference(t, got, want)/largest(want), tolerances[g.act].logits)
		}
	})
}

func TestLogProbabilitiesEqualTheReference(t *testing.T) {
	forEachGolden(t, func(t *testing.T, g *golden) {
		scale := largest(npy(t, filepath.Join(g.dir, "logits_lora.npy")))
		tol := tolerances[g.act]
		limit := max(tol.logProbs*scale, tol.logProbFloor)
		for _, c := range []struct {
			name    string
			want    []float64
			pack    *datasets.Pack
			adapter *model.Adapter
		}{{"base", g.LogProbsBase, g.whole(), nil}, {"lora", g.LogProbsLoRA, g.whole(), g.adapter}, {"docs", g.LogProbsDocs, g.documents(), g.adapter}} {
			var want []float64
			for _, row := range c.pack.Rows {
				want = append(want, c.want[row+1])
			}
			within(t, "log-probabilities "+c.name, difference(t, g.logProbs(t, c.pack, c.adapter), want), limit)
		}
	})
}

// gradsEqual compares every factor's gradient with the reference's tensors.
func (g *golden) gradsEqual(t *testing.T, file string) {
	t.Helper()
	worst := 0.0
	g.eachGrad(t, file, func(name string, got, want []float64) {
		within(t, file+" "+name, relativeL2(got, want), g.grads)
		worst = max(worst, relativeL2(got, want))
	})
	t.Logf("%s: the worst factor is %.3g away, limit %.3g", file, worst, g.grads)
}

// eachGrad calls f with every factor's gradient and the reference's.
func (g *golden) eachGrad(t *testing.T, file string, f func(name string, got, want []float64)) {
	t.Helper()
	reference, err := safetensors.Open(filepath.Join(g.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer reference.Close()
	flat, err := model.ReadFloats(g.backend, nil, g.adapter.Grad)
	if err != nil {
		t.Fatal(err)
	}
	for _, factor := range g.adapter.Factors {
		for _, part := range []struct {
			name      string
			offset, n int
		}{{"lora_A", factor.OffsetA, factor.Rank * factor.In}, {"lora_B", factor.OffsetB, factor.Out * factor.Rank}} {
			name := "base_model.model." + factor.Name() + "." + part.name + ".weight"
			f(name, flat[part.offset:][:part.n], float64Tensor(t, reference, name))
		}
	}
}

func float64Tensor(t testing.TB, f *safetensors.File, name string) []float64 {
	t.Helper()
	info, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("tensor %q is missing", name)
	}
	data := make([]byte, info.Bytes)
	if err := f.ReadInto(name, data); err != nil {
		t.Fatal(err)
	}
	out := make([]float64, len(data)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out
}

func relativeL2(got, want []float64) float64 {
	var diff, norm float64
	for i := range want {
		diff += (got[i] - want[i]) * (got[i] - want[i])
		norm += want[i] * want[i]
	}
	return math.Sqrt(diff / norm)
}
