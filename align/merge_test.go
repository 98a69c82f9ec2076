package align_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/align"
	"align/datasets"
	"align/internal/basemodel"
	"align/internal/export"
	"align/internal/fixture"
	"align/internal/work"
	"align/model"
	"align/reward"
	"align/sft"
)

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type chat struct {
	Messages []message `json:"messages"`
}

func chats(pairs ...string) []chat {
	var list []chat
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, chat{[]message{{"user", pairs[i]}, {"assistant", pairs[i+1]}}})
	}
	return list
}

// trainOn is a short run that moves the model.
func trainOn(t *testing.T, base, data string) sft.Config {
	t.Helper()
	c := sft.DefaultConfig()
	c.Model, c.Data, c.Out = base, data, filepath.Join(t.TempDir(), "run")
	c.Steps, c.Batch, c.EvalFraction, c.LearningRate, c.Rank = 6, 3, 0, 5e-3, 4
	if _, err := align.SFT(context.Background(), c, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

func exported(t *testing.T, run, format, typ string) export.Result {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out-"+format)
	if format == export.FormatGGUF || format == export.FormatMergedGGUF {
		out += ".gguf"
	}
	e, err := export.Write(export.Options{Adapter: run, Format: format, Type: typ, Out: out}, work.Environment{})
	if err != nil {
		t.Fatalf("%s %s: %v", format, typ, err)
	}
	return e
}

// answers are the likeliest answers to some prompts.
func answers(t *testing.T, path, adapter string) [][]int32 {
	t.Helper()
	o := align.DefaultGenerateOptions()
	o.Model, o.Adapter, o.Template, o.Temperature, o.MaxNew = path, adapter, "llama3", 0, 64
	var prompts [][]datasets.Message
	for _, text := range []string{"Tell me a story.", "Who is Tom?", "What did the dog do in the park?"} {
		prompts = append(prompts, []datasets.Message{{Role: "user", Content: text}})
	}
	list := make([][]int32, len(prompts))
	err := align.Generate(context.Background(), o, prompts, align.Environment{}, nil, func(a align.Answer) error {
		list[a.Prompt] = a.IDs
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Written in float32 a merged model is the trained one token for token.
func TestAMergedModelAnswersAsTheRunDoes(t *testing.T) {
	base := fixture.Path(t, "data", "stories260K-chat")
	data := writeLines(t, "data.jsonl", chats("Tell me a story.", "Once upon a time there was a girl named Lily.",
		"Tell me of a dog.", "A dog ran to the park and was happy.", "Who is Tom?", "Tom is a boy who likes to play with his ball."))
	c := trainOn(t, base, data)
	want := answers(t, base, c.Out)
	if slices.EqualFunc(want, answers(t, base, ""), slices.Equal[[]int32]) {
		t.Fatal("the run has not moved the model")
	}
	for _, e := range []export.Result{exported(t, c.Out, export.FormatMergedGGUF, "f32"), exported(t, c.Out, export.FormatMergedHF, "")} {
		if got := answers(t, e.Path, ""); !slices.EqualFunc(got, want, slices.Equal[[]int32]) {
			t.Errorf("%s answers\n%v, the run\n%v", e.Path, got, want)
		}
		tok, err := basemodel.OpenTokenizer(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		if template, reason, err := datasets.ChooseTemplate("auto", tok); err != nil || template.Name() != "llama3" || !strings.Contains(reason, "chat_template is llama3") {
			t.Errorf("%s: template %v, %q, %v", e.Path, template, reason, err)
		}
		if e.Checked.Tokens != 32 || e.Checked.Top1 != 1 || e.Checked.TextTokens < 32 || !(math.Abs(e.Checked.KL) < 1e-9) {
			t.Errorf("%s: %+v", e.Path, e.Checked)
		}
	}
}

func TestAMergedGGUFHasAModelfile(t *testing.T) {
	base := fixture.Path(t, "data", "stories260K-chat")
	c := trainOn(t, base, writeLines(t, "data.jsonl", chats("Hello", "Hi.")))
	e := exported(t, c.Out, export.FormatMergedGGUF, "q8_0")
	text := string(readFile(t, e.Modelfile))
	for _, want := range []string{
		"\nFROM ./out-merged-gguf.gguf\n", "\nTEMPLATE \"\"\"{{ if .System }}<|start_header_id|>system", "\nPARAMETER stop \"<|eot_id|>\"\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the Modelfile has no %q:\n%s", want, text)
		}
	}
}

func TestAMergedFolderHasACard(t *testing.T) {
	source, base := fixture.Path(t, "data", "stories260K"), filepath.Join(t.TempDir(), "stories")
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} {
		fixture.Write(t, string(readFile(t, source, name)), base, name)
	}
	fixture.Write(t, "---\nlanguage: en\nlicense: mit\n---\n# A model\n", base, "README.md")
	fixture.Write(t, "MIT License\n\nCopyright\n", base, "LICENSE")
	data := writeLines(t, "data.jsonl", []tokens{{InputIDs: []int32{1, 5, 9, 12}}, {InputIDs: []int32{1, 7}}})
	c := trainOn(t, base, data)
	e := exported(t, c.Out, export.FormatMergedHF, "")
	card := string(readFile(t, e.Path, "README.md"))
	for _, want := range []string{
		"---\nbase_model: stories\nlicense: mit\ntags: [align, sft]\n---\n", "notice: MIT License\n", "Method sft, step 6 of 6",
		"| data | 2 of 2 records |", "| SHA-256 of the data | ", "| rank | 4 |", "| learning_rate | 0.005 |",
	} {
		if !strings.Contains(card, want) {
			t.Errorf("the card has no %q:\n%s", want, card)
		}
	}
	if got := string(readFile(t, e.Path, "LICENSE")); !strings.HasPrefix(got, "MIT License") {
		t.Errorf("the licence is %q", got)
	}
}

func scores(t *testing.T, base, adapter, data string) []float64 {
	t.Helper()
	var list []float64
	err := align.Score(context.Background(), align.ScoreOptions{Model: base, Adapter: adapter, Data: data, Template: "plain"}, align.Environment{}, func(s align.Scored) error {
		list = append(list, s.LogProbs...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func furthest(a, b []float64) float64 {
	var most float64
	for i := range a {
		most = max(most, math.Abs(a[i]-b[i]))
	}
	return most
}

// An adapter trained on the blocks of a GGUF file has the same log-probabilities
// after each of its exports, up to the rounding of what they are written in.
func TestAnAdapterOnAQuantisedGGUFRoundTrips(t *testing.T) {
	wide := wideModel(t)
	var lines []tokens
	for i := range 3 {
		line := tokens{InputIDs: []int32{256}}
		for k := range 24 {
			line.InputIDs = append(line.InputIDs, int32((i*37+k*k*11)%250))
		}
		lines = append(lines, line)
	}
	data := writeLines(t, "data.jsonl", lines)
	for _, typ := range []string{"q8_0", "q4_k"} {
		t.Run(typ, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "base.gguf")
			if err := model.MergeGGUF(base, model.Merge{Base: wide}, model.GGUFOptions{Type: typ}); err != nil {
				t.Fatal(err)
			}
			c := trainOn(t, base, data)
			want := scores(t, base, c.Out, data)
			if d := furthest(want, scores(t, base, "", data)); d < 0.1 {
				t.Fatalf("the run has moved a log-probability by %v at most", d)
			}
			if e := exported(t, c.Out, export.FormatGGUF, ""); e.Checked.Difference != 0 {
				t.Errorf("adapter as GGUF: %+v", e.Checked)
			}
			if got := scores(t, base, exported(t, c.Out, export.FormatPEFT, "").Path, data); furthest(got, want) != 0 {
				t.Errorf("adapter as PEFT: a log-probability is off by %v", furthest(got, want))
			}
			exact := exported(t, c.Out, export.FormatMergedGGUF, "f32")
			if d := furthest(scores(t, exact.Path, "", data), want); !(d <= scoreTolerance) {
				t.Errorf("merged in f32: a log-probability is off by %v", d)
			}
			rounded := exported(t, c.Out, export.FormatMergedGGUF, "")
			if rounded.Type != "q8_0" || !(rounded.Checked.KL <= 1e-3) {
				t.Errorf("merged by default: %+v", rounded)
			}
			if folder := exported(t, c.Out, export.FormatMergedHF, ""); !(folder.Checked.KL <= 1e-3) {
				t.Errorf("merged folder: %+v", folder)
			}
		})
	}
}

func TestARunOfAllWeightsIsAModel(t *testing.T) {
	base := fixture.Path(t, "data", "stories260K-chat")
	c := sft.DefaultConfig()
	c.Model, c.Data, c.Out = base, writeLines(t, "data.jsonl", chats("Who is Tom?", "Tom is a boy.")), filepath.Join(t.TempDir(), "run")
	c.Full, c.Steps, c.Batch, c.EvalFraction, c.LearningRate = true, 3, 1, 0, 1e-3
	if _, err := align.SFT(context.Background(), c, []string{"learning_rate"}, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	want := answers(t, c.Out, "")
	if slices.EqualFunc(want, answers(t, base, ""), slices.Equal[[]int32]) {
		t.Fatal("the run has not moved the model")
	}
	for _, e := range []export.Result{exported(t, c.Out, export.FormatMergedGGUF, ""), exported(t, c.Out, export.FormatMergedHF, "")} {
		if got := answers(t, e.Path, ""); !slices.EqualFunc(got, want, slices.Equal[[]int32]) || e.Checked.Difference != 0 {
			t.Errorf("%s: %+v", e.Path, e.Checked)
		}
	}
	_, err := export.Write(export.Options{Adapter: c.Out, Format: export.FormatPEFT, Out: filepath.Join(t.TempDir(), "x")}, work.Environment{})
	if err == nil || !strings.Contains(err.Error(), "trained all weights and has no adapter") {
		t.Errorf("adapter: %v", err)
	}
}

func TestARunIsNoBaseAndARewardModelIsNoGGUF(t *testing.T) {
	base := fixture.Path(t, "data", "stories260K")
	c := reward.DefaultConfig()
	c.Model, c.Pairs, c.Out = base, writeLines(t, "pairs.jsonl", pairLines(4)), filepath.Join(t.TempDir(), "reward")
	c.Steps, c.Batch, c.EvalFraction, c.Rank, c.Quantize = 2, 2, 0, 4, "q8_0"
	if _, err := align.Reward(context.Background(), c, nil, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	_, err := export.Write(export.Options{Adapter: c.Out, Format: export.FormatMergedGGUF, Out: filepath.Join(t.TempDir(), "x")}, work.Environment{})
	if err == nil || !strings.Contains(err.Error(), "a reward model gives scores, not text") {
		t.Errorf("merge: %v", err)
	}
	if _, err := basemodel.Resolve(c.Out); err == nil || !strings.Contains(err.Error(), "is a run of an adapter") {
		t.Errorf("model: %v", err)
	}
	if how, err := reward.Quantize(c.Out); err != nil || how != "q8_0" {
		t.Errorf("held as %q, %v", how, err)
	}
}
