package model

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/safetensors"
)

// asClassifier makes an adapter's folder one of task_type SEQ_CLS, as PEFT 0.13
// writes it, with the head in its weights; none leaves it out.
func asClassifier(t *testing.T, dir string, head []float32) {
	t.Helper()
	path := filepath.Join(dir, AdapterConfigFile)
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"CAUSAL_LM"`, `"SEQ_CLS"`, `"modules_to_save": null`, `"modules_to_save": ["classifier", "score"]`).Replace(string(config))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(dir, AdapterWeightsFile)
	f, err := safetensors.Open(weights)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []safetensors.Tensor
	for _, info := range f.Tensors() {
		data := make([]byte, info.Bytes)
		if err := f.ReadInto(info.Name, data); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, safetensors.FromBytes(info.Name, info.DType, info.Shape, data))
	}
	if head != nil {
		tensors = append(tensors, safetensors.FromFloats("base_model.model.score.weight", safetensors.F32, []int{1, len(head)}, head))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(weights)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(safetensors.Write(out, tensors, nil), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// A reward model that PEFT wrote (TRL's RewardTrainer with LoRA) is an adapter with a
// head, and no policy.
func TestReadScoredOfPEFT(t *testing.T) {
	dir, base := refusedAdapter(t, func(v []float32) { v[3] = 0.5 }, "{", "{")
	head := make([]float32, base.HiddenSize)
	for i := range head {
		head[i] = float32(i) - 4
	}
	asClassifier(t, dir, head)
	a, values, err := ReadScored(dir, ScoreHead, base)
	if err != nil {
		t.Fatal(err)
	}
	if got := values[a.Head.Offset:][:a.Head.Len]; !slices.Equal(got, head) {
		t.Errorf("head %v, want %v", got, head)
	}
	if values[3] != 0.5 || len(a.Config.Save) != 0 {
		t.Errorf("factor %v, saved modules %q", values[3], a.Config.Save)
	}
	if _, _, err := ReadAdapter(dir, base); err == nil || !strings.Contains(err.Error(), "is a reward model (task_type SEQ_CLS)") {
		t.Errorf("as a policy: %v", err)
	}
}

func TestReadScoredOfPEFTRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		head []float32
		want string
	}{
		{"no head", nil, ErrNoHead.Error()},
		{"two labels' width", make([]float32, 32), "is [1 32], the base wants [1 16]"},
	} {
		dir, base := refusedAdapter(t, func([]float32) {}, "{", "{")
		asClassifier(t, dir, c.head)
		if _, _, err := ReadScored(dir, ScoreHead, base); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// What is written of a reward model is what PEFT saves: its names, and the head in
// the adapter's file.
func TestWriteScorer(t *testing.T) {
	_, base := refusedAdapter(t, func([]float32) {}, "{", "{")
	a, err := NewAdapter(base, LoRAConfig{Rank: 2, Alpha: 4, Targets: []string{"q_proj"}, Save: []string{"embed_tokens"}})
	if err != nil {
		t.Fatal(err)
	}
	a.AddHead(base)
	values := a.InitialWithHead(3)
	dir := t.TempDir()
	config, err := a.PEFTScorerConfig("base")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"task_type": "SEQ_CLS"`, "\"modules_to_save\": [\n    \"embed_tokens\",\n    \"score\"\n  ]"} {
		if !strings.Contains(string(config), want) {
			t.Errorf("the config has no %s:\n%s", want, config)
		}
	}
	out, err := os.Create(filepath.Join(dir, AdapterWeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.WriteScorerWeights(out, InMemory(values)), out.Close(), os.WriteFile(filepath.Join(dir, AdapterConfigFile), config, 0o600)); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(dir, AdapterWeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, ok := f.Tensor("base_model.model.score.weight"); !ok || !slices.Equal(info.Shape, []int{1, base.HiddenSize}) {
		t.Errorf("score: %v %v", ok, info.Shape)
	}
	back, got, err := ReadScored(dir, ScoreHead, base)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.Config.Save, a.Config.Save) || !slices.Equal(got, values) {
		t.Errorf("read back %q and other values", back.Config.Save)
	}
}
