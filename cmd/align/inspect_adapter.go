package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"align/internal/gguf"
	"align/internal/safetensors"
	"align/model"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// inspectAdapter tells what a PEFT folder says of itself. Whether it fits a
// base is a question that needs the base.
func inspectAdapter(dir string) ([]fact, error) {
	path := filepath.Join(dir, model.AdapterConfigFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	var c struct {
		Type    string         `json:"peft_type"`
		Task    string         `json:"task_type"`
		Base    string         `json:"base_model_name_or_path"`
		Rank    int            `json:"r"`
		Alpha   float64        `json:"lora_alpha"`
		Dropout float64        `json:"lora_dropout"`
		RSLoRA  bool           `json:"use_rslora"`
		DoRA    bool           `json:"use_dora"`
		Save    []string       `json:"modules_to_save"`
		Targets jsontext.Value `json:"target_modules"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("inspect: %s: %w", path, err)
	}
	weights, err := safetensors.Open(filepath.Join(dir, model.AdapterWeightsFile))
	if err != nil {
		return nil, err
	}
	defer weights.Close()
	var parameters int64
	for _, t := range weights.Tensors() {
		parameters += count(t.Shape)
	}
	return []fact{
		{"kind", "adapter"}, {"type", c.Type}, {"task_type", c.Task}, {"base", c.Base},
		{"rank", c.Rank}, {"alpha", c.Alpha}, {"rslora", c.RSLoRA}, {"dora", c.DoRA}, {"dropout", c.Dropout}, {"targets", targetsOf(c.Targets)},
		{"modules_to_save", strings.Join(c.Save, ", ")},
		{"tensors", len(weights.Tensors())}, {"parameters", parameters},
	}, nil
}

// inspectAdapterGGUF is inspectAdapter for an adapter as llama.cpp loads it; nil
// for a GGUF that is none.
func inspectAdapterGGUF(path string) ([]fact, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if kind, err := f.Metadata.String("general.type"); err != nil || kind != "adapter" {
		return nil, nil // a model need not say what it is
	}
	alpha, err := f.Metadata.Float("adapter.lora.alpha")
	if err != nil && !errors.Is(err, gguf.ErrMissing) {
		return nil, err
	}
	name, _ := f.Metadata.String("general.name")
	base, _ := f.Metadata.String("general.base_model.0.name")
	var parameters int64
	for _, t := range f.Tensors() {
		parameters += count(t.Shape)
	}
	return []fact{
		{"kind", "adapter"}, {"type", "GGUF"}, {"name", name}, {"base", base}, {"alpha", alpha},
		{"tensors", len(f.Tensors())}, {"parameters", parameters},
	}, nil
}

// targetsOf are the module names: PEFT writes a list, or one pattern.
func targetsOf(v jsontext.Value) []string {
	var list []string
	if json.Unmarshal(v, &list) == nil {
		return list
	}
	return []string{string(v)}
}
