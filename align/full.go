package align

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"align/internal/checkpoint"
	"align/internal/tokenizer"
	"align/internal/train"
	"align/model"
)

// tokenizerParts are the tokenizer's files in a checkpoint of all weights,
// which is a whole model folder with them.
func tokenizerParts(t *tokenizer.Tokenizer, c model.Config) ([]checkpoint.Part, error) {
	tokens, config, err := model.TokenizerFiles(t, c)
	if err != nil {
		return nil, err
	}
	part := func(name string, data []byte) checkpoint.Part {
		return checkpoint.Part{Name: name, Write: func(w io.Writer) error { _, err := w.Write(data); return err }}
	}
	return []checkpoint.Part{part("tokenizer.json", tokens), part("tokenizer_config.json", config)}, nil
}

// isFull says whether a folder holds all weights of a model.
func isFull(folder string) bool {
	return has(folder, train.ModelConfigFile) && !has(folder, model.AdapterConfigFile)
}

// wholeModel is the newest checkpoint of a run that trained all weights; other
// folders and files are what they are.
func wholeModel(path string) (string, error) {
	if !has(path, "checkpoints") {
		return path, nil
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return "", fmt.Errorf("model: %w", err)
	}
	if !isFull(c.Path) {
		return "", fmt.Errorf("model: %s is a run of an adapter: name its base as the model and the run as the adapter", path)
	}
	return c.Path, nil
}

// runModel is the base that a checkpoint's run named; "" for a checkpoint that
// stands alone.
func runModel(folder string) string {
	for line := range strings.Lines(readText(filepath.Dir(filepath.Dir(folder)), RunFile)) {
		if value, ok := strings.CutPrefix(line, "model:"); ok {
			return strings.Trim(oneLine(value), `"'`)
		}
	}
	return ""
}
