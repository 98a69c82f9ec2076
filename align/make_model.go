package align

import (
	"fmt"

	"align/internal/basemodel"
	"align/internal/bench"
	"align/internal/place"
	"align/model"
)

// MakeModel writes a Hugging Face folder of random weights in a shape's sizes,
// with the tokenizer of a model, for measurements of sizes that are not at hand.
func MakeModel(shape, tokenizer, out string) error {
	if out == "" {
		return fmt.Errorf("out is missing: name a new folder")
	}
	out, err := place.Folder(out)
	if err != nil {
		return err
	}
	config, err := bench.Shape(shape)
	if err != nil {
		return err
	}
	folder, err := basemodel.Resolve(tokenizer)
	if err != nil {
		return err
	}
	tok, err := basemodel.OpenTokenizer(folder)
	if err != nil {
		return err
	}
	if n := tok.VocabSize(); n > config.VocabSize {
		return fmt.Errorf("tokenizer %s has %d tokens, the shape %s has room for %d", tokenizer, n, shape, config.VocabSize)
	}
	if id, ok := tok.BOS(); ok {
		config.BOS = id
	}
	if id, ok := tok.EOS(); ok {
		config.EOS = []int32{id}
	}
	made, err := place.MakeAbove(out)
	if err != nil {
		return err
	}
	defer made.Remove()
	return model.WriteRandom(out, model.RandomFolder{Config: config, Tokenizer: folder, Seed: 1})
}
