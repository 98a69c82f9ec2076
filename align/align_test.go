package align_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/export"
	"align/internal/fixture"
	"align/internal/train"
	"align/internal/work"
	"align/sft"
)

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

// notUnderRaces leaves a test out with -short, which is for the race detector: it is
// slow there, and a run, a resume, rounds and a server's answers are in other tests.
func notUnderRaces(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow with the race detector, which has other runs of its stage")
	}
}

// writeLines writes values as lines of JSON and returns the file.
func writeLines[T any](t testing.TB, name string, values []T) string {
	t.Helper()
	var buf bytes.Buffer
	for _, v := range values {
		if err := json.NewEncoder(&buf).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// recorder keeps a run's events and notes, and may stop it.
type recorder struct {
	events []train.Event
	notes  []string
	stop   train.Stop
	stopAt int
}

func (r *recorder) Stepped(e train.Event) {
	r.events = append(r.events, e)
	if !e.Evaluation && e.Step == r.stopAt {
		r.stop.Ask(train.Interrupt)
	}
}
func (r *recorder) Saved(string, int) {}

func (r *recorder) environment(t testing.TB) align.Environment {
	return align.Environment{Report: r, Note: func(s string) { r.notes = append(r.notes, s) }, Stop: &r.stop, CacheDir: t.TempDir()}
}

func (r *recorder) losses() []float64 {
	var list []float64
	for _, e := range r.events {
		if !e.Evaluation {
			list = append(list, e.Loss)
		}
	}
	return list
}

type tokens struct {
	InputIDs       []int32 `json:"input_ids"`
	CompletionMask []int   `json:"completion_mask,omitempty"`
	DocumentIDs    []int32 `json:"document_ids,omitempty"`
}

type goldenExample struct {
	IDs  []int32 `json:"ids"`
	Mask []int   `json:"mask"`
}

// lossTolerance is the limit of the main job for each loss of the trajectory.
const lossTolerance = 1e-4

func TestSFTRepeatsTheReferenceTrajectory(t *testing.T) {
	dir := fixture.Path(t)
	var golden struct {
		Batches []struct {
			Examples []goldenExample `json:"examples"`
		} `json:"batches"`
		Losses []float64 `json:"losses"`
	}
	readJSON(t, filepath.Join(dir, "golden", "trajectory", "sft.json"), &golden)
	var lines []tokens
	for _, b := range golden.Batches {
		for _, e := range b.Examples {
			lines = append(lines, tokens{InputIDs: e.IDs, CompletionMask: e.Mask})
		}
	}
	c := sft.DefaultConfig()
	c.Model, c.Data = filepath.Join(dir, "data", "stories260K"), writeLines(t, "data.jsonl", lines)
	c.Adapter, c.Out = filepath.Join(dir, "golden", "trajectory", "init"), t.TempDir()
	c.Order, c.Batch, c.Steps, c.EvalFraction = "sequential", 4, 30, 0
	c.LearningRate, c.Schedule, c.Warmup, c.WeightDecay, c.Clip, c.Dropout = 0.002, "constant", 0, 0.01, 0, 0
	r := &recorder{}
	if _, err := align.SFT(context.Background(), c, nil, r.environment(t)); err != nil {
		t.Fatal(err)
	}
	for i, loss := range r.losses() {
		if d := math.Abs(loss - golden.Losses[i]); !(d <= lossTolerance) {
			t.Errorf("loss %d is off by %.3g", i+1, d)
		}
	}
}

func TestScoresEqualTheReference(t *testing.T) {
	dir := fixture.Path(t)
	for _, name := range []string{"tiny", "tied", "tiny-bf16-sharded", "stories260K"} {
		var golden struct {
			Base, LoRA string
			IDs, Docs  []int32
			Whole      []float64 `json:"logprobs_lora"`
			ByDocs     []float64 `json:"logprobs_docs_lora"`
		}
		readJSON(t, filepath.Join(dir, "golden", name, "golden.json"), &golden)
		o := align.ScoreOptions{
			Model: filepath.Join(dir, "golden", golden.Base), Adapter: filepath.Join(dir, "golden", golden.LoRA), Template: "plain",
			Data: writeLines(t, "data.jsonl", []tokens{{InputIDs: golden.IDs}, {InputIDs: golden.IDs, DocumentIDs: golden.Docs}}),
		}
		var got []align.Scored
		err := align.Score(context.Background(), o, align.Environment{}, func(s align.Scored) error {
			got = append(got, s)
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		equalScores(t, name, got[0], golden.Whole[1:])
		var docs []float64
		for i := 1; i < len(golden.IDs); i++ {
			if golden.Docs[i] == golden.Docs[i-1] {
				docs = append(docs, golden.ByDocs[i])
			}
		}
		equalScores(t, name+" by documents", got[1], docs)
	}
}

// scoreTolerance is the main job's 1e-5, or 2e-6 of logits up to about 20.
const scoreTolerance = 4e-5

func equalScores(t *testing.T, what string, got align.Scored, want []float64) {
	t.Helper()
	if got.Count != len(want) {
		t.Fatalf("%s: %d targets, want %d", what, got.Count, len(want))
	}
	for i := range want {
		if d := math.Abs(got.LogProbs[i] - want[i]); !(d <= scoreTolerance) {
			t.Errorf("%s: target %d is off by %.3g", what, i, d)
		}
	}
}

// pairLines are pairs of random ids with shared prompts.
func pairLines(n int) []map[string][]int32 {
	var lines []map[string][]int32
	for i := range n {
		ids := func(from, length int) []int32 {
			list := make([]int32, length)
			for k := range list {
				list[k] = int32(3 + (from*31+k*k*7+i*13)%500)
			}
			return list
		}
		lines = append(lines, map[string][]int32{"prompt_ids": ids(1, 5+i%4), "chosen_ids": ids(2, 8+i%3), "rejected_ids": ids(3, 6+i%5)})
	}
	return lines
}

func dpoConfig(t *testing.T, dir string) dpo.Config {
	c := dpo.DefaultConfig()
	c.Model, c.Pairs, c.Out = filepath.Join(dir, "data", "stories260K"), writeLines(t, "pairs.jsonl", pairLines(24)), t.TempDir()
	c.Steps, c.Batch, c.Accumulate, c.EvalFraction, c.SaveEvery, c.LearningRate, c.Rank = 8, 2, 2, 0.2, train.EverySteps(3), 1e-3, 4
	return c
}

func TestDPOBeginsAtLogTwo(t *testing.T) {
	c := dpoConfig(t, fixture.Path(t))
	r := &recorder{}
	if _, err := align.DPO(context.Background(), c, nil, r.environment(t)); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.events[:2] {
		prefix := ""
		loss := e.Loss
		if e.Evaluation {
			prefix = "eval_"
			loss, _ = e.Metrics.Get("eval_loss")
		}
		if math.Abs(loss-math.Ln2) > 1e-6 {
			t.Errorf("step %d: loss is %v, want ln 2", e.Step, loss)
		}
		for _, name := range []string{"rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"} {
			if v, ok := e.Metrics.Get(prefix + name); !ok || v != 0 {
				t.Errorf("step %d: %s is %v, want exactly 0", e.Step, prefix+name, v)
			}
		}
	}
	if last := r.losses()[7]; last >= math.Ln2 {
		t.Errorf("the loss after 8 steps is %v", last)
	}
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAResumedRunHasTheBytesOfAnUninterruptedOne(t *testing.T) {
	dir := fixture.Path(t)
	whole := dpoConfig(t, dir)
	if _, err := align.DPO(context.Background(), whole, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{1, 4, 7} {
		part := whole
		part.Out = t.TempDir()
		r := &recorder{stopAt: at}
		result, err := align.DPO(context.Background(), part, nil, r.environment(t))
		if err != nil || result.Ended != train.Interrupt || result.Step != at {
			t.Fatalf("stopped at step %d by %v: %v", result.Step, result.Ended, err)
		}
		part.Resume = true
		if _, err := align.DPO(context.Background(), part, nil, (&recorder{}).environment(t)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"adapter_model.safetensors", "optimizer.safetensors"} {
			path := filepath.Join("checkpoints", "step-000008", name)
			if !bytes.Equal(readFile(t, part.Out, path), readFile(t, whole.Out, path)) {
				t.Errorf("stopped at %d: %s differs", at, name)
			}
		}
		if !bytes.Equal(readFile(t, part.Out, train.MetricsFile), readFile(t, whole.Out, train.MetricsFile)) {
			t.Errorf("stopped at %d: the metrics differ", at)
		}
	}
}

func TestReferenceLogProbabilitiesAreFoundAgain(t *testing.T) {
	notUnderRaces(t)
	c := dpoConfig(t, fixture.Path(t))
	r := &recorder{}
	env := r.environment(t)
	if _, err := align.DPO(context.Background(), c, nil, env); err != nil {
		t.Fatal(err)
	}
	c.Out, c.Beta, c.Seed = t.TempDir(), 0.3, 9
	if _, err := align.DPO(context.Background(), c, nil, env); err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(r.notes, "\n")
	for _, want := range []string{"24 pairs computed, 0 found", "0 pairs computed, 24 found"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note says %q:\n%s", want, notes)
		}
	}
}

func TestExportsGiveTheAdaptersLogits(t *testing.T) {
	dir := fixture.Path(t)
	c := dpoConfig(t, dir)
	if _, err := align.DPO(context.Background(), c, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	for format, out := range map[string]string{export.FormatGGUF: "adapter.gguf", export.FormatPEFT: "adapter"} {
		path := filepath.Join(t.TempDir(), out)
		e, err := export.Write(export.Options{Adapter: c.Out, Format: format, Out: path}, work.Environment{})
		if err != nil || e.Checked.Difference != 0 || e.Checked.Tokens == 0 {
			t.Errorf("%s: %+v, %v", format, e, err)
		}
	}
}

func TestAnAdapterKeepsItsShape(t *testing.T) {
	dir := fixture.Path(t)
	c := dpoConfig(t, dir)
	c.Adapter, c.Rank = filepath.Join(dir, "golden", "trajectory", "init"), 99
	_, err := align.DPO(context.Background(), c, []string{"rank"}, (&recorder{}).environment(t))
	if err == nil || !strings.Contains(err.Error(), "rank: the adapter has 8, not 99") {
		t.Errorf("error is %v", err)
	}
	if _, err := align.DPO(context.Background(), c, nil, (&recorder{}).environment(t)); err != nil {
		t.Errorf("a default rank: %v", err)
	}
}
