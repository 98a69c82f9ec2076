package rejection

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/fixture"
	"align/internal/rollout"
	"align/internal/score"
	"align/internal/tokenizer"
	"align/model"
)

// letters is a Scorer that likes one letter: its share of the answer.
type letters byte

func (l letters) Score(_ context.Context, items []score.Item) ([]float64, error) {
	scores := make([]float64, len(items))
	for i, item := range items {
		scores[i] = float64(strings.Count(item.Response, string(rune(l)))) / float64(len(item.Response)+1)
	}
	return scores, nil
}

// counted is a Generator that counts samples and breaks off after some.
type counted struct {
	rollout.Generator
	samples, limit int
}

var errBroken = errors.New("broken off")

func (c *counted) Generate(ctx context.Context, p []rollout.Prompt, o rollout.Options, emit func(rollout.Sample) error) error {
	return c.Generator.Generate(ctx, p, o, func(s rollout.Sample) error {
		if c.samples == c.limit {
			return errBroken
		}
		c.samples++
		return emit(s)
	})
}

// newJob samples from the small trained model.
func newJob(t *testing.T, k int) *Job {
	t.Helper()
	dir := fixture.Path(t, "data", "stories260K")
	b, err := cpu.New(cpu.Options{Threads: 2, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(dir, b, device.F32, nil)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := rollout.New(m, nil, rollout.Limits{Prompt: 60, Answer: 40, Sequences: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	c := DefaultConfig()
	c.Model, c.Prompts, c.Scorer, c.K, c.MaxNew = dir, "prompts.jsonl", "length", k, 24
	j := &Job{
		Config: c, Generator: e, Scorer: letters('e'), Model: m.Hash, Reward: "length",
		Decode: tok.Decode, Stop: []int32{2, 411, 426},
	}
	for _, s := range []string{"Once upon a time", "Lily and Tom", "The dog", "One day", "There was a", "Mom said", "The dog"} {
		j.Prompts = append(j.Prompts, Prompt{Text: s, IDs: tok.Encode(s, true, false), Place: s})
	}
	return j
}

// files are the contents of a job's folder by name.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	a, b := files(t, got), files(t, want)
	if len(a) != 4 || len(b) != 4 {
		t.Errorf("%s: %d files, want 4 like the %d", what, len(a), len(b))
	}
	for name := range b {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s: %s differs", what, name)
		}
	}
}

func TestBestOfMoreIsBetter(t *testing.T) {
	mean, last := 0.0, 0.0
	for i, k := range []int{2, 4, 16} {
		j := newJob(t, k)
		j.Config.Out = t.TempDir()
		s, err := j.Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if s.Prompts != 6 || s.Repeated != 1 || s.Samples != 6*k {
			t.Errorf("k %d: %+v", k, s)
		}
		if i == 0 {
			mean = s.MeanScore
		}
		best := 0.0
		rows, err := ReadRows(filepath.Join(j.Config.Out, SamplesFile))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			top := 0.0
			for _, x := range r.Scores {
				top = max(top, x)
			}
			best += top / float64(len(rows))
		}
		if best <= last || best <= mean {
			t.Errorf("best of %d scores %v: want more than %v and than the mean %v", k, best, last, mean)
		}
		last = best
	}
}

func TestAnInterruptedJobGoesOnWithTheNextSample(t *testing.T) {
	whole := newJob(t, 4)
	whole.Config.Out = t.TempDir()
	if _, err := whole.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	j := newJob(t, 4)
	j.Config.Out = t.TempDir()
	g := &counted{Generator: j.Generator}
	j.Generator = g
	for _, limit := range []int{1, 9, 15} {
		g.limit = limit
		if _, err := j.Run(context.Background()); !errors.Is(err, errBroken) {
			t.Fatalf("after %d samples: %v", limit, err)
		}
		j.Config.Resume = true
	}
	tear(t, filepath.Join(j.Config.Out, journalFile))
	g.limit = 1000
	if _, err := j.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := 4*6 + 1; g.samples != want { // the torn one twice
		t.Errorf("%d samples were drawn, want %d", g.samples, want)
	}
	same(t, "resumed", j.Config.Out, whole.Config.Out)
	if _, err := j.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "finished job") {
		t.Errorf("run again in the same folder: %v", err)
	}
}

// tear cuts the last line of a file short, as a crash does.
func tear(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-7], 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAJournalIsOfOneJob(t *testing.T) {
	j := newJob(t, 4)
	j.Config.Out = t.TempDir()
	j.Generator = &counted{Generator: j.Generator, limit: 3}
	if _, err := j.Run(context.Background()); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if _, err := j.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "unfinished job") {
		t.Errorf("begun anew: %v", err)
	}
	j.Config.Resume, j.Config.Seed = true, 1
	if _, err := j.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "other prompts, settings") {
		t.Errorf("resumed with another seed: %v", err)
	}
}

func TestShardsMergeToOneRun(t *testing.T) {
	whole := newJob(t, 3)
	whole.Config.Pairs = PairsRandom
	whole.Config.Out, whole.Held = t.TempDir(), map[string]string{HeldDevice: "cpu", HeldKernels: "x", HeldPrecision: "f32", "tokenizer": "a", "the context": "512"}
	if _, err := whole.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, shard := range []string{"3/3", "1/3", "2/3"} {
		j := newJob(t, 3)
		j.Config.Shard, j.Config.Out, j.Held = shard, t.TempDir(), maps.Clone(whole.Held)
		if _, err := j.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, j.Config.Out)
	}
	c := whole.Config
	c.Out = t.TempDir()
	if _, err := Merge(parts, c); err != nil {
		t.Fatal(err)
	}
	same(t, "merged", c.Out, whole.Config.Out)
	for what, list := range map[string][]string{"part 2/3 is missing": parts[:2], "are both part": slices.Concat(parts, parts[:1]), "no parts": nil, "another job": slices.Concat(parts, []string{whole.Config.Out})} {
		c.Out = t.TempDir()
		if _, err := Merge(list, c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q, got %v", what, err)
		}
	}
}

// Parts of one job have one precision on one device, and all that it is held to.
func TestPartsOfAnotherPrecisionDoNotMerge(t *testing.T) {
	held := func(device, precision, tokenizer string) map[string]string {
		return map[string]string{HeldDevice: device, HeldKernels: device, HeldPrecision: precision, "tokenizer": tokenizer}
	}
	part := func(shard string, held map[string]string) string {
		j := newJob(t, 3)
		j.Config.Shard, j.Config.Out, j.Held = shard, t.TempDir(), held
		if _, err := j.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		return j.Config.Out
	}
	first := part("1/3", held("cpu", "f32", "a"))
	for _, tt := range []struct {
		name          string
		second, third map[string]string
		want          string
		left          map[string]string
	}{
		{"alike", held("cpu", "f32", "a"), held("cpu", "f32", "a"), "", held("cpu", "f32", "a")},
		{"another precision", held("cpu", "f32", "a"), held("cpu", "bf16", "a"), "precision is bf16, that of the first part f32", nil},
		{"another device between", held("cuda", "bf16", "a"), held("cpu", "bf16", "a"), "precision is bf16, that of the first part f32", nil},
		{"another device", held("cuda", "bf16", "a"), held("cpu", "f32", "a"), "", map[string]string{"tokenizer": "a"}},
		{"another tokenizer", held("cuda", "bf16", "b"), held("cpu", "f32", "a"), "tokenizer is b, that of the first part a", nil},
		{"an earlier version", nil, held("cpu", "f32", "a"), "", map[string]string{}},
	} {
		c := newJob(t, 3).Config
		c.Out = t.TempDir()
		s, err := Merge([]string{first, part("2/3", tt.second), part("3/3", tt.third)}, c)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: want %q, got %v", tt.name, tt.want, err)
			}
			continue
		}
		if err != nil || !maps.Equal(s.Held, tt.left) {
			t.Errorf("%s: %v, held %v, want %v", tt.name, err, s.Held, tt.left)
		}
	}
}
