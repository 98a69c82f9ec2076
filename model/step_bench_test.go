package model_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/graph"
	"align/internal/host"
	"align/model"
)

// BenchmarkStepRatios runs forward and backward passes of the 110M shape, bf16, 2 x
// 512 tokens, one thread, two ways in turns, and tells the ratio of their processor
// times: of the least, and the median of those of neighbours.
func BenchmarkStepRatios(b *testing.B) {
	for name, c := range map[string]struct {
		share float64
		with  func(o *model.DecoderOptions)
		over  func(o *model.DecoderOptions)
	}{
		"products over all":       {1, func(o *model.DecoderOptions) { o.Save = exec.SaveProducts }, func(*model.DecoderOptions) {}},
		"all rows over a quarter": {0.25, func(o *model.DecoderOptions) { o.AllRows = true }, func(*model.DecoderOptions) {}},
	} {
		b.Run(name, func(b *testing.B) {
			r := newStepPair(b, c.share)
			with, over := r.session(b, c.with), r.session(b, c.over)
			var of, to []float64
			for b.Loop() {
				of, to = append(of, r.step(b, with)), append(to, r.step(b, over))
			}
			ratios := make([]float64, len(of))
			for i := range of {
				ratios[i] = of[i] / to[i]
			}
			slices.Sort(ratios)
			b.ReportMetric(slices.Min(of)/slices.Min(to), "least")
			b.ReportMetric(ratios[len(ratios)/2], "median")
		})
	}
}

// stepPair is what two sessions share.
type stepPair struct {
	backend *cpu.Backend
	model   *model.Model
	adapter *model.Adapter
	pack    datasets.Pack
}

func newStepPair(b *testing.B, share float64) *stepPair {
	backend, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32, Precision: device.BF16})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { backend.Close() })
	c, err := model.Shape("small")
	if err != nil {
		b.Fatal(err)
	}
	r := &stepPair{backend: backend}
	if r.model, err = model.Random(c, backend, device.F32, device.BF16, 1); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.model.Close)
	if r.adapter, err = model.NewAdapter(c, model.LoRAConfig{Rank: 16, Alpha: 32, Targets: model.Modules}); err != nil {
		b.Fatal(err)
	}
	if err := r.model.AllocAdapter(r.adapter, r.adapter.Initial(1)); err != nil {
		b.Fatal(err)
	}
	for k := range 2 {
		e := datasets.Example{IDs: make([]int32, 512), LossMask: make([]bool, 512)}
		for i := range e.IDs {
			e.IDs[i], e.LossMask[i] = int32((i*i*31+k*7)%c.VocabSize), float64(512-i) <= share*512
		}
		r.pack.AddExample(e, uint32(k))
	}
	return r
}

func (r *stepPair) session(b *testing.B, set func(*model.DecoderOptions)) *model.Session {
	o := model.DecoderOptions{Capacity: model.SizeOf(&r.pack, 0), Adapter: r.adapter, Train: true, Save: exec.SaveAll}
	set(&o)
	d, err := r.model.NewDecoder(o)
	if err != nil {
		b.Fatal(err)
	}
	weights := d.Vector("weights", device.F64, graph.Sequences)
	s, err := d.Compile(r.model, d.Dot(d.SequenceLogProbs, weights))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	if err := s.Load(&r.pack, 0); err != nil {
		b.Fatal(err)
	}
	if err := s.SetFloat64s(weights, []float64{-1e-3, -1e-3}); err != nil {
		b.Fatal(err)
	}
	r.step(b, s) // touches its memory
	return s
}

// step is the processor time of a pass, in seconds.
func (r *stepPair) step(b *testing.B, s *model.Session) float64 {
	before := host.ProcessorTime()
	if err := s.Run(); err != nil {
		b.Fatal(err)
	}
	return math.Max(float64(host.ProcessorTime()-before)/float64(time.Second), 1e-9)
}
