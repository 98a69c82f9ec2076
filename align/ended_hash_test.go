package align_test

import (
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/internal/train"
	"align/sft"
)

// The hash of the data ends with the first request too, which comes here once the last
// record is read: what follows the hash is not told any more.
func TestARunEndsWhileItsDataIsHashed(t *testing.T) {
	for method, run := range earlyRuns(t) {
		r := &recorder{}
		env := r.environment(t)
		env.Note = func(line string) {
			r.notes = append(r.notes, line)
			if strings.Contains(line, " records, ") {
				r.stop.Ask(train.Terminate)
			}
		}
		result, err := run(filepath.Join(t.TempDir(), "run"), env)
		if err != nil || result.Ended != train.Terminate || result.Run != "" {
			t.Errorf("%s: %+v, %v", method, result, err)
		}
		if last := r.notes[len(r.notes)-1]; method != "ppo" && !strings.Contains(last, " records, ") || strings.HasPrefix(last, "memory: ") {
			t.Errorf("%s: it went on as far as %q", method, last)
		}
	}
}

// So does the hash of a run that is named as the model or the adapter: nothing that
// follows it is told.
func TestARunEndsWhileWhatItBeginsWithIsHashed(t *testing.T) {
	c := sft.DefaultConfig()
	c.Data = writeLines(t, "data.jsonl", []map[string]string{{"prompt": "What is 1 + 1?", "completion": "1 + 1 = 2."}})
	c.Model, c.Steps, c.EvalFraction = "builtin:tiny", 1, 0
	train1 := func(full bool) string {
		c := c
		c.Full, c.Out = full, filepath.Join(t.TempDir(), "run")
		if _, err := align.SFT(t.Context(), c, nil, (&recorder{}).environment(t)); err != nil {
			t.Fatal(err)
		}
		return c.Out
	}
	byModel, byAdapter, byEither := c, c, c
	byModel.Model = train1(true)
	byAdapter.Adapter = train1(false)
	byEither.Model, byEither.Adapter = "", byAdapter.Adapter
	for name, c := range map[string]sft.Config{"model": byModel, "adapter": byAdapter, "the adapter's base": byEither} {
		r := &recorder{}
		env := r.environment(t)
		r.stop.Ask(train.Terminate)
		c.Out = filepath.Join(t.TempDir(), "run")
		result, err := align.SFT(t.Context(), c, nil, env)
		if err != nil || result.Ended != train.Terminate || len(r.notes) > 0 {
			t.Errorf("%s: %+v, %v, told %q", name, result, err, r.notes)
		}
	}
}
