package align

import (
	"errors"
	"fmt"

	"align/internal/atomicfile"
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
	return []checkpoint.Part{
		{Name: "tokenizer.json", Write: atomicfile.Bytes(tokens)},
		{Name: "tokenizer_config.json", Write: atomicfile.Bytes(config)},
	}, nil
}

// loadFull reads all weights as float32 masters.
func (s *stage) loadFull() (err error) {
	if s.settings.Adapter != "" || s.settings.Quantize != "" {
		return errors.New("full trains all weights: there can be no adapter and no quantize beside it; align merge makes a model of an adapter and its base")
	}
	if s.model, s.full, err = model.LoadFull(s.base, s.backend, s.act, s.env.progress("loading the model")); err != nil {
		return err
	}
	s.env.note(fmt.Sprintf("model: %s, all %d weights are trained", s.settings.Model, s.full.Parameters()))
	return nil
}
