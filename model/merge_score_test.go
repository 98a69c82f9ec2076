package model_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/fixture"
	"align/internal/safetensors"
	"align/model"
)

// A merged reward model is a sequence classifier: the head beside the weights in
// float32, also where these are cut into files, no language model's head, and one
// padding token in all files that name it.
func TestMergeFolderOfARewardModel(t *testing.T) {
	base := copied(t, fixture.Path(t, "data", "stories260K"))
	config, err := model.ReadConfig(base)
	if err != nil {
		t.Fatal(err)
	}
	a := &model.Adapter{}
	a.AddHead(config)
	values := a.InitialWithHead(5)
	file := filepath.Join(t.TempDir(), "x.gguf")
	err = model.MergeGGUF(file, model.Merge{Base: base, Adapter: a, Values: values}, model.GGUFOptions{Type: "f32"})
	if _, missing := os.Stat(file); err == nil || !strings.Contains(err.Error(), "no place for a score head") || missing == nil {
		t.Errorf("as GGUF: %v", err)
	}
	names := []string{"tokenizer_config.json", "special_tokens_map.json"}
	for _, name := range names {
		writeJSON(t, filepath.Join(base, name), map[string]any{"bos_token": "<s>", "pad_token": "</s>"})
	}
	for _, c := range []struct {
		pad           model.PadToken
		id, namedWith string
	}{
		{model.PadToken{ID: 3, Name: "<pad>"}, `"pad_token_id": 3`, `"pad_token": "<pad>"`},
		{model.PadToken{}, `"pad_token_id": null`, `"pad_token": null`},
	} {
		out := filepath.Join(t.TempDir(), "merged")
		o := model.FolderOptions{ShardBytes: 100_000, Pad: c.pad}
		if err := model.MergeFolder(out, model.Merge{Base: base, Adapter: a, Values: values}, o); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"LlamaForSequenceClassification"`, c.id, `"LABEL_0": 0`, `"tie_word_embeddings": false`} {
			if text := readText(t, filepath.Join(out, "config.json")); !strings.Contains(text, want) {
				t.Errorf("config.json has no %s:\n%s", want, text)
			}
		}
		for _, name := range names {
			if text := readText(t, filepath.Join(out, name)); !strings.Contains(text, c.namedWith) || !strings.Contains(text, `"bos_token": "<s>"`) {
				t.Errorf("%s has no %s:\n%s", name, c.namedWith, text)
			}
		}
		checkHead(t, out, config, values[a.Head.Offset:][:a.Head.Len])
	}
}

// checkHead holds the head of a folder to its values.
func checkHead(t *testing.T, dir string, base model.Config, want []float32) {
	t.Helper()
	b, got, err := model.ReadScored(dir, model.ScoreHead, base)
	if err != nil || !slices.Equal(got[b.Head.Offset:][:b.Head.Len], want) {
		t.Errorf("head %v (%v), want %v", got, err, want)
	}
	f, err := safetensors.OpenModel(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, _ := f.Tensor(model.ScoreHead); info.DType != safetensors.F32 {
		t.Errorf("the head is stored as %v", info.DType)
	}
	if _, ok := f.Tensor("lm_head.weight"); ok {
		t.Error("a language model's head is left")
	}
	load(t, dir, openCPU(t, device.F32), device.F32, model.LoadOptions{})
}

// copied is a folder of a model's files of its own.
func copied(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
