package align_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"align/align"
	"align/dpo"
	"align/internal/train"
)

// firstStep stops a run after its first step and keeps the time.
type firstStep struct {
	recorder
	at time.Time
}

func (f *firstStep) Stepped(e train.Event) {
	if !e.Evaluation && f.at.IsZero() {
		f.at = time.Now()
	}
	f.recorder.Stepped(e)
}

// BenchmarkFirstStep is `align dpo` on the model inside the program, from its
// start to the end of its first step: reading, masking, the reference's pass and
// the evaluation before it. The reference is not in the cache.
func BenchmarkFirstStep(b *testing.B) {
	var seconds float64
	for b.Loop() {
		b.Setenv("ALIGN_CACHE", b.TempDir())
		c := dpo.DefaultConfig()
		c.Model, c.Pairs, c.Out = "builtin:tiny", filepath.Join("..", "examples", "prefs.jsonl"), b.TempDir()
		f := &firstStep{recorder: recorder{stopAt: 1}}
		e := f.environment(b)
		e.Report = f
		begin := time.Now()
		// The run was told to stop; that it says so is no fault here.
		if _, err := align.DPO(context.Background(), c, nil, e); f.at.IsZero() {
			b.Fatal(err)
		}
		seconds += f.at.Sub(begin).Seconds()
	}
	b.ReportMetric(seconds/float64(b.N), "s/first-step")
}
