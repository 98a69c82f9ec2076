//go:build linux && (amd64 || arm64) && !nogpu

package bench

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/work"
	"align/model"
)

// shapeFolder is a folder with the config of a model that the simulator is quick
// with.
func shapeFolder(t *testing.T) string {
	t.Helper()
	c := model.Config{
		Architecture: "LlamaForCausalLM", HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 16,
		VocabSize: 72, ContextLength: 64, RMSNormEps: 1e-5, RopeTheta: 10000, BOS: -1, DType: "float32",
	}
	text, err := c.JSON("float32")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every workload runs on a card, and the trainers and decode list their kernels.
// Times mean nothing in the simulator, whose clock counts marks.
func TestMeasureOnACard(t *testing.T) {
	if testing.Short() {
		t.Skip("the simulator is slow, above all with the race detector")
	}
	old := cardProbe
	cardProbe = probe{side: 64, elements: 1 << 12}
	if cudatest.Simulated() { // it takes seconds, each time
		t.Setenv(cuda.ProofVariable, "off")
	}
	fault := cudatest.StandIn()
	defer func() {
		driver.StandIn(nil)
		cardProbe = old
		if err := fault(); err != nil {
			t.Error(err)
		}
	}()
	o := DefaultOptions()
	o.Shape, o.Compute.Device, o.Compute.Precision, o.Batch, o.Length, o.Prompt, o.Response, o.Rank, o.Steps, o.Warmup = shapeFolder(t), "cuda", "bf16", 2, 8, 6, 4, 4, 1, 0
	for workload, kernels := range map[string][]string{
		"sft":         {"lora_linear 16x48x32", "lora_dx 16x48x32", "attention", "attention_grad", "rmsnorm", "logprob", "adamw", "zero"},
		"dpo":         {"lora_linear 28x48x32", "attention_grad", "segment_sum"},
		"decode":      {"linear 2x48x32", "attention_cached", "rope_cache", "add_rmsnorm", "embed"},
		"ppo":         {"lora_linear 20x48x32", "attention_cached", "sample", "attention_grad", "logprob", "scale_rows", "adamw"},
		"rollout":     {"linear 2x48x32", "attention_cached", "rope_cache", "sample"},
		"gemm":        nil,
		"attention":   nil,
		"elementwise": nil,
		"machine":     nil,
	} {
		o.Workloads = []string{workload}
		var figures []Figure
		if err := Measure(t.Context(), o, work.Environment{}, func(f Figure) error { figures = append(figures, f); return nil }); err != nil {
			t.Errorf("%s: %v", workload, err)
			continue
		}
		checkFigures(t, workload, figures)
		for _, name := range kernels {
			if !listed(figures, workload+"/kernel "+name+", ") {
				t.Errorf("%s does not list the kernel %s", workload, name)
			}
		}
	}
}

// checkFigures holds figures to their form: the last has a throughput, and a
// kernel its time in milliseconds beside a floor.
func checkFigures(t *testing.T, workload string, figures []Figure) {
	t.Helper()
	if len(figures) == 0 || figures[len(figures)-1].Throughput == nil {
		t.Errorf("%s: %d figures, or the last has no throughput", workload, len(figures))
		return
	}
	for _, f := range figures {
		isKernel := strings.Contains(f.Name, "/kernel")
		switch {
		case math.IsNaN(f.Value) || math.IsInf(f.Value, 0) || f.Value < 0:
			t.Errorf("%s is %v", f.Name, f.Value)
		case isKernel && (f.Unit != "ms" || f.Value <= 0 || f.Floor <= 0 || f.Ratio != f.Value/f.Floor):
			t.Errorf("%s: %+v: want a time and a floor in ms", f.Name, f)
		}
	}
}

func listed(figures []Figure, prefix string) bool {
	for _, f := range figures {
		if strings.HasPrefix(f.Name, prefix) {
			return true
		}
	}
	return false
}

// The operations of the kernels of a step add up to what the rule of [cost.Of]
// counts for it, but for du A of q, k and v of layer 0, which the rule has and
// nothing needs.
func TestKernelsAddUpToTheStep(t *testing.T) {
	if testing.Short() {
		t.Skip("the simulator is slow, above all with the race detector")
	}
	card, err := cuda.OpenOn(cudatest.Library(t, false), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	config, err := model.ReadConfig(shapeFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.Compute.Precision, o.Batch, o.Length, o.Rank, o.Steps, o.Warmup, o.LossShare = "bf16", 2, 8, 4, 1, 0, 0.5
	counted, rule := 0.0, 0.0
	b := &bench{
		options: o, workload: "sft", config: config, backend: profileOf(card), act: device.BF16,
		rates: &rates{threads: 1, flops: 1, read: math.Inf(1), fixed: true}, // a floor is a number of operations
		emit: func(f Figure) error {
			switch {
			case f.Name == "sft/kernels together":
				counted = f.Floor / 1e3
			case f.Name == "sft/tokens":
				rule = float64(o.Batch*o.Length) / f.Floor
			}
			return nil
		},
	}
	defer func() { b.backend.Close() }()
	if err := b.sft(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := rule - 3*product(o.Batch*o.Length, config.HiddenSize, o.Rank)
	if !(math.Abs(counted-want) <= 1e-6*want) {
		t.Errorf("kernels do %.0f operations: want %.0f", counted, want)
	}
}
