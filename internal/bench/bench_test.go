package bench_test

import (
	"strings"
	"testing"

	"align/internal/bench"
	"align/internal/work"
)

func TestMeasure(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector")
	}
	o := bench.DefaultOptions()
	o.Workloads = []string{"sft", "dpo", "ppo", "decode", "rollout", "attention"}
	o.Shape, o.Batch, o.Length, o.Prompt, o.Response, o.LossShare, o.Reference = "tiny", 2, 16, 6, 5, 0.5, "every"
	o.Steps, o.Warmup, o.Compute.Threads = 2, 1, 1
	last := map[string]bench.Figure{}
	err := bench.Measure(t.Context(), o, work.Environment{}, func(f bench.Figure) error {
		if !(f.Value > 0) || f.Floor > 0 && !(f.Ratio > 0) || f.Floor < 0 {
			t.Errorf("figure %+v", f)
		}
		workload, _, _ := strings.Cut(f.Name, "/")
		if last[workload].Throughput != nil {
			t.Errorf("%s comes after the last of its workload", f.Name)
		}
		last[workload] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, workload := range o.Workloads {
		x := last[workload].Throughput
		if x == nil || !(x.TokensPerCore > 0) || !(x.TokensPerSecond > 0) || x.PeakMiB <= 0 {
			t.Errorf("%s ends with %+v", workload, x)
		}
	}
	if last["decode"].PrefillPerSecond <= 0 {
		t.Error("decode has no rate of its prompts")
	}
}

func TestDropout(t *testing.T) {
	o := bench.DefaultOptions()
	o.Workloads, o.Shape, o.Batch, o.Length, o.Steps, o.Warmup, o.Compute.Threads = []string{"sft"}, "tiny", 2, 16, 2, 1, 1
	loss := map[float64]float64{}
	for _, o.Dropout = range []float64{0, 0.5} {
		err := bench.Measure(t.Context(), o, work.Environment{}, func(f bench.Figure) error {
			if f.Throughput != nil {
				loss[o.Dropout] = f.Throughput.Loss
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if loss[0] == 0 || loss[0] == loss[0.5] {
		t.Errorf("losses %v: want another with dropout", loss)
	}
}

func TestOptions(t *testing.T) {
	o := bench.DefaultOptions()
	if err := o.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	bad := bench.Options{Workloads: []string{"decod"}, Warmup: -1, Dropout: 1}
	for _, want := range []string{
		`unknown workload "decod", did you mean "decode"`, "batch must lie in [1, 65536], got 0", "seq must lie in [2, 65536], got 0",
		"warmup must lie in [0, 65536], got -1", "loss_share must lie in (0, 1], got 0", "dropout must be 0 or lie in [1/65536, 65535/65536], got 1", `reference must be cached or every, got ""`, `precision must be f32 or bf16, got ""`,
	} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	large := bench.DefaultOptions()
	large.Batch, large.Length = 65536, 512
	if err := large.Validate(); err == nil || err.Error() != "batch 65536 is 50331648 tokens, at most 1048576" {
		t.Errorf("a batch of 50 million tokens: %v", err)
	}
	o.Workloads, o.Shape = []string{"sft"}, "70b"
	if err := bench.Measure(t.Context(), o, work.Environment{}, nil); err == nil || !strings.Contains(err.Error(), `cfg "70b" is neither one of tiny, small, 1b, 8b nor a model`) {
		t.Errorf("an unknown shape: %v", err)
	}
}
