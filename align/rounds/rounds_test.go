package rounds_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"align/align/rounds"
	"align/internal/runfolder"
	"align/internal/train"
	"align/model"

	"github.com/google/go-cmp/cmp"
)

// smallRounds is a job on the model inside the program, by a rule.
func smallRounds(t *testing.T) rounds.Config {
	t.Setenv("ALIGN_CACHE", t.TempDir())
	var prompts []map[string]string
	for i := range 4 {
		prompts = append(prompts, map[string]string{"prompt": fmt.Sprintf("What is 2 + %d?", i+2)})
	}
	c := rounds.DefaultConfig()
	c.Prompts, c.Scorer, c.Stages = writeLines(t, "prompts.jsonl", prompts), "length:30", "rejection,sft,ppo"
	c.RejectionStage.K, c.RejectionStage.MaxNew = 3, 24
	c.SFTStage.Steps, c.SFTStage.EvalFraction = 2, 0
	c.PPOStage.Steps, c.PPOStage.MaxNew, c.PPOStage.Rollout = 2, 8, 4
	c.Explicit = map[string][]string{"rejection": {"k", "max_new"}, "sft": {"steps", "eval_fraction"}, "ppo": {"steps", "max_new", "rollout"}}
	return c
}

// A job that is interrupted in any stage, once or at every chance, ends with the
// bytes of one that was not.
func TestRoundsGoOnWhereTheyWereInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has other runs of its stages")
	}
	whole := smallRounds(t)
	whole.Out = filepath.Join(t.TempDir(), "job")
	want, err := rounds.Run(context.Background(), whole, (&recorder{}).environment(t))
	if err != nil {
		t.Fatal(err)
	}
	part := whole
	part.Out = filepath.Join(t.TempDir(), "job")
	stops := 0
	for {
		r := &recorder{stopAt: 1} // the first step of whatever stage is next
		got, err := rounds.Run(context.Background(), part, r.environment(t))
		if err != nil {
			t.Fatal(err)
		}
		if got.Ended == train.Interrupt {
			stops, part.Resume = stops+1, true
			continue
		}
		if len(got.Stages) != len(want.Stages) {
			t.Fatalf("%d stages, want %d", len(got.Stages), len(want.Stages))
		}
		for i, s := range got.Stages {
			if w := want.Stages[i]; s.Hash != w.Hash || s.Hash == "" {
				t.Errorf("round %d, %s: hash %.12s, uninterrupted %.12s", s.Round, s.Stage, s.Hash, w.Hash)
			}
		}
		break
	}
	if stops != 4 { // sft and ppo of two rounds
		t.Errorf("interrupted %d times, want 4", stops)
	}
	file := filepath.Join("round-02", "ppo", train.MetricsFile)
	if !bytes.Equal(readFile(t, part.Out, file), readFile(t, whole.Out, file)) {
		t.Error("the metrics of the last stage differ")
	}
}

// A stage that was stopped after its last step and before what follows it, as a kill
// does, is finished by the job that goes on.
func TestRoundsFinishAStageOfAllSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has other runs of its stages")
	}
	c := smallRounds(t)
	c.Rounds, c.Stages, c.Out = 1, "rejection,sft", filepath.Join(t.TempDir(), "job")
	delete(c.Explicit, "ppo")
	if _, err := rounds.Run(context.Background(), c, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	lineage, adapter := filepath.Join(c.Out, rounds.LineageFile), filepath.Join(c.Out, "round-01", "sft", runfolder.AdapterFile)
	want, whole := readFile(t, adapter), readFile(t, lineage)
	if err := os.Remove(adapter); err != nil {
		t.Fatal(err)
	}
	without := regexp.MustCompile(`(?s),\s*\{\s*"round": 1,\s*"stage": "sft".*?\}`).ReplaceAll(whole, nil)
	if bytes.Equal(whole, without) {
		t.Fatalf("no stage sft in %s", whole)
	}
	write(t, lineage, without)
	left := filepath.Join(c.Out, "round-01", ".sft.jsonl.tmp-KH4JSTE7") // of a kill before
	write(t, left, nil)
	c.Resume = true
	r := &recorder{}
	if _, err := rounds.Run(context.Background(), c, r.environment(t)); err != nil || len(r.losses) > 0 {
		t.Fatalf("%v, %d steps", err, len(r.losses))
	}
	if !bytes.Equal(readFile(t, adapter), want) || !bytes.Equal(readFile(t, lineage), whole) {
		t.Error("the adapter or the lineage differs")
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what the kill left is there still: %v", err)
	}
}

// More rounds may be added to a job that is done; nothing is done again.
func TestRoundsCanBeAdded(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has other runs of its stages")
	}
	c := smallRounds(t)
	c.Rounds, c.Stages, c.Out = 1, "rejection,sft", filepath.Join(t.TempDir(), "job")
	delete(c.Explicit, "ppo")
	first, err := rounds.Run(context.Background(), c, (&recorder{}).environment(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Rounds, c.Resume = 2, true
	r := &recorder{}
	second, err := rounds.Run(context.Background(), c, r.environment(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Stages, second.Stages[:2]); diff != "" || len(second.Stages) != 4 {
		t.Errorf("%d stages\n%s", len(second.Stages), diff)
	}
	if len(r.losses) != c.SFTStage.Steps {
		t.Errorf("%d steps, want those of the new round alone, %d", len(r.losses), c.SFTStage.Steps)
	}
}

// The adapter that a job is given is held by its content, by a job of an earlier version
// from its next resume on.
func TestRoundsAreHeldToWhatTheyBeganWith(t *testing.T) {
	c := smallRounds(t)
	c.Rounds, c.Stages, c.Out = 1, "rejection,sft", filepath.Join(t.TempDir(), "first")
	c.Explicit = map[string][]string{"rejection": {"k", "max_new"}, "sft": {"steps", "eval_fraction"}}
	first, err := rounds.Run(context.Background(), c, (&recorder{}).environment(t))
	if err != nil {
		t.Fatal(err)
	}
	given := t.TempDir()
	for _, name := range []string{model.AdapterConfigFile, model.AdapterWeightsFile} {
		write(t, filepath.Join(given, name), readFile(t, first.Policy, "checkpoints", "step-000002", name))
	}
	c.Adapter, c.Stages, c.Out = given, "rejection", filepath.Join(t.TempDir(), "job")
	delete(c.Explicit, "sft")
	lineage := filepath.Join(c.Out, rounds.LineageFile)
	var notes string
	run := func() error {
		env := (&recorder{}).environment(t)
		env.Note = func(line string) { notes += line + "\n" }
		_, err := rounds.Run(context.Background(), c, env)
		return err
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	c.Resume, c.Rounds = true, 2
	weights := filepath.Join(given, model.AdapterWeightsFile)
	was := readFile(t, weights)
	other := bytes.Clone(was)
	other[len(other)-2] ^= 1
	write(t, weights, other)
	if err := run(); err == nil || !strings.Contains(err.Error(), "adapter has another content than the job began with") {
		t.Errorf("another adapter: %v", err)
	}
	began := readFile(t, lineage)
	earlier := regexp.MustCompile(`(?s)"held": \{.*?\},\s*`).ReplaceAll(began, nil)
	if bytes.Equal(began, earlier) {
		t.Fatalf("the lineage holds nothing: %s", began)
	}
	write(t, weights, was)
	write(t, lineage, earlier)
	if err := run(); err != nil || !strings.Contains(notes, "adapter: an earlier version began this job") {
		t.Errorf("a job of an earlier version: %v, told %q", err, notes)
	}
	write(t, weights, other)
	if err := run(); err == nil || !strings.Contains(err.Error(), "adapter has another content") {
		t.Errorf("another adapter after that: %v", err)
	}
}

// A job of a version that did not have a setting goes on where that is at its default,
// also once the file of settings names it.
func TestRoundsGoOnWithoutASettingOfALaterVersion(t *testing.T) {
	c := smallRounds(t)
	c.Rounds, c.Stages, c.Out = 1, "rejection", filepath.Join(t.TempDir(), "job")
	c.Explicit = map[string][]string{"rejection": {"k", "max_new"}}
	run := func() error {
		_, err := rounds.Run(context.Background(), c, (&recorder{}).environment(t))
		return err
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	settings, lineage := filepath.Join(c.Out, rounds.SettingsFile), filepath.Join(c.Out, rounds.LineageFile)
	whole := readFile(t, lineage)
	// What the file says is what is hashed, with the free settings empty.
	text := regexp.MustCompile(`(?m)^template: .*\n`).ReplaceAll(readFile(t, settings), nil)
	hashed := regexp.MustCompile(`(?m)^(out|device|memory|generator): .*$`).ReplaceAll(text, []byte(`$1: ""`))
	hashed = regexp.MustCompile(`(?m)^(rounds|threads): .*$`).ReplaceAll(hashed, []byte("$1: 0"))
	earlier := regexp.MustCompile(`"config": "[0-9a-f]+"`).ReplaceAll(whole, fmt.Appendf(nil, `"config": "%x"`, sha256.Sum256(hashed)))
	write(t, settings, text)
	write(t, lineage, earlier)

	c.Resume, c.Template = true, "llama3"
	if err := run(); err == nil || !strings.Contains(err.Error(), `template is "llama3", the job began with "auto"`) {
		t.Errorf("the setting at another value: %v", err)
	}
	c.Template, c.Seed = "auto", c.Seed+1
	if err := run(); err == nil || !strings.Contains(err.Error(), "seed is ") {
		t.Errorf("another seed: %v", err)
	}
	c.Seed--
	for range 2 {
		if err := run(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readFile(t, lineage), whole) || !bytes.Contains(readFile(t, settings), []byte("\ntemplate: ")) {
			t.Errorf("%s\nwant\n%s", readFile(t, lineage), whole)
		}
	}
}

// A job that is interrupted while it samples goes on with the sample at hand.
func TestRoundsGoOnWithinSampling(t *testing.T) {
	c := smallRounds(t)
	c.Rounds, c.Stages, c.Out = 1, "rejection", filepath.Join(t.TempDir(), "job")
	c.Explicit = map[string][]string{"rejection": {"k", "max_new"}}
	whole := c
	whole.Out = filepath.Join(t.TempDir(), "job")
	want, err := rounds.Run(context.Background(), whole, (&recorder{}).environment(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	env := r.environment(t)
	env.Progress = func(what string, done, _ int64) {
		if what == "sampling" && done == 2 {
			r.stop.Ask(train.Terminate)
		}
	}
	got, err := rounds.Run(context.Background(), c, env)
	if err != nil || got.Ended != train.Terminate || len(got.Stages) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	journal := readFile(t, c.Out, "round-01", "rejection", "journal.jsonl")
	if n := bytes.Count(journal, []byte("\n")); n < 3 {
		t.Errorf("the journal has %d lines, want the job and two samples", n)
	}
	c.Resume = true
	got, err = rounds.Run(context.Background(), c, (&recorder{}).environment(t))
	if err != nil || len(got.Stages) != 1 || got.Stages[0].Hash != want.Stages[0].Hash {
		t.Errorf("resumed: %+v, %v, want the hash %.12s", got.Stages, err, want.Stages[0].Hash)
	}
}
