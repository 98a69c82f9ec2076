package reward

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"align/internal/safetensors"
	"align/model"
)

// classifier writes a model folder as a LlamaForSequenceClassification with
// the given head: no language model's head, score.weight in its place.
func classifier(t *testing.T, source string, head []float32) string {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile(filepath.Join(source, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.ReplaceAll(config, []byte("LlamaForCausalLM"), []byte("LlamaForSequenceClassification"))
	config = bytes.ReplaceAll(config, []byte(`"tie_word_embeddings": true`), []byte(`"tie_word_embeddings": false`))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(source, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tensors := []safetensors.Tensor{safetensors.FromFloats(model.ScoreHead, safetensors.F32, []int{1, len(head)}, head)}
	for _, info := range f.Tensors() {
		data := make([]byte, info.Bytes)
		if err := f.ReadInto(info.Name, data); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, safetensors.FromBytes(info.Name, info.DType, info.Shape, data))
	}
	out, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(out, tensors, nil); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asPEFT writes a checkpoint's adapter and head as PEFT writes a sequence
// classifier's (TRL's RewardTrainer): the head among the factors.
func asPEFT(t *testing.T, checkpoint string) string {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile(filepath.Join(checkpoint, model.AdapterConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.ReplaceAll(config, []byte(`"CAUSAL_LM"`), []byte(`"SEQ_CLS"`))
	config = bytes.ReplaceAll(config, []byte(`"modules_to_save": null`), []byte(`"modules_to_save": ["classifier", "score"]`))
	if err := os.WriteFile(filepath.Join(dir, model.AdapterConfigFile), config, 0o644); err != nil {
		t.Fatal(err)
	}
	var tensors []safetensors.Tensor
	for name, prefix := range map[string]string{model.AdapterWeightsFile: "", model.HeadsFile: "base_model.model."} {
		f, err := safetensors.Open(filepath.Join(checkpoint, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range f.Tensors() {
			data := make([]byte, info.Bytes)
			if err := f.ReadInto(info.Name, data); err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, safetensors.FromBytes(prefix+info.Name, info.DType, info.Shape, data))
		}
		f.Close()
	}
	out, err := os.Create(filepath.Join(dir, model.AdapterWeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(safetensors.Write(out, tensors, nil), out.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}
