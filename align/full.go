package align

import (
	"io"

	"align/internal/checkpoint"
	"align/internal/tokenizer"
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
