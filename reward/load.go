package reward

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"align/internal/checkpoint"
	"align/internal/score"
	"align/internal/train"
	"align/model"
)

// Load reads a reward model onto its base: a run (its newest valid
// checkpoint), a checkpoint, PEFT's folder of a sequence classifier, or a Hugging
// Face LlamaForSequenceClassification folder, from which the base was loaded too. A folder without a head is an
// error, and so is a base other than the one it was trained on.
func Load(path string, base *model.Model) (*score.Model, error) {
	dir, err := folder(path, base)
	if err != nil {
		return nil, err
	}
	a, values, err := model.ReadScored(dir, model.ScoreHead, base.Config)
	if err != nil {
		return nil, fmt.Errorf("reward: %w", err)
	}
	if err := base.AllocAdapter(a, values); err != nil {
		return nil, err
	}
	return &score.Model{Base: base, Adapter: a}, nil
}

// Layout is the adapter of a reward model on a base, with its head and without
// buffers.
func Layout(path string, base model.Config) (*model.Adapter, error) {
	dir, err := folder(path, nil)
	if err != nil {
		return nil, err
	}
	a, _, err := model.ReadScored(dir, model.ScoreHead, base)
	if err != nil {
		return nil, fmt.Errorf("reward: %w", err)
	}
	return a, nil
}

// Base is the folder of the base model that a reward model names: the folder
// itself for a Hugging Face model.
func Base(path string) (string, error) {
	dir, err := folder(path, nil)
	if err != nil {
		return "", err
	}
	switch {
	case exists(dir, model.AdapterConfigFile):
		return model.AdapterBase(dir)
	case !exists(dir, "config.json"):
		return "", fmt.Errorf("reward: %s is no reward model: it has neither checkpoints nor %s nor config.json", path, model.AdapterConfigFile)
	}
	return dir, nil
}

// Quantize is how a reward model's run held its base; "" as it is stored.
func Quantize(path string) (string, error) { return setting(path, "quantize") }

// Template is the chat template that a reward model's run was trained with; ""
// where the folder does not say.
func Template(path string) (string, error) { return setting(path, "template") }

// setting is one that a run was trained with; "" where path is no run.
func setting(path, key string) (string, error) {
	if !exists(path, "MANIFEST.json") && !exists(path, "checkpoints") {
		return "", nil
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return "", fmt.Errorf("reward: %w", err)
	}
	s, err := train.ReadState(c)
	return s.Lineage["setting "+key], err
}

// folder is the one that holds the weights, held to the base where it tells
// its own.
func folder(path string, base *model.Model) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("reward: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("reward: %s is a file: want the folder of a run, a checkpoint or a model", path)
	}
	if !exists(path, "MANIFEST.json") && !exists(path, "checkpoints") {
		return path, nil
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return "", fmt.Errorf("reward: %w", err)
	}
	s, err := train.ReadState(c)
	if err != nil {
		return "", err
	}
	if trained := s.Lineage["model"]; base != nil && trained != "" && trained != base.Hash {
		return "", fmt.Errorf("reward: %s was trained on the model %.12s, the base is %.12s", c.Path, trained, base.Hash)
	}
	return c.Path, nil
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}
