package main

import (
	"fmt"
	"slices"
	"strings"

	"align/internal/config"
	"align/internal/nearest"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// preset is a set of values that belong together: those of a published recipe.
type preset struct {
	name, method string
	source       string
	values       []presetValue
}

// presetValue is a setting's key and its value as text.
type presetValue struct{ key, text string }

// presets are read only.
var presets = []preset{
	{"llama3", "dpo", "Llama 3, https://arxiv.org/abs/2407.21783, section 4.1.4", []presetValue{
		{"loss", "sigmoid"}, {"beta", "0.1"}, {"mask_format", "on"}, {"nll", "0.2"}, {"learning_rate", "1e-05"},
	}},
	{"zephyr", "dpo", "alignment-handbook, zephyr-7b-beta/dpo/config_qlora.yaml", []presetValue{
		{"loss", "sigmoid"}, {"beta", "0.01"}, {"learning_rate", "5e-06"}, {"schedule", "cosine"}, {"warmup", "0.1"},
		{"epochs", "1"}, {"batch", "4"}, {"accumulate", "4"}, {"max_length", "1024"},
		{"rank", "128"}, {"alpha", "128"}, {"dropout", "0.05"},
	}},
	{"zephyr", "sft", "alignment-handbook, zephyr-7b-beta/sft/config_qlora.yaml", []presetValue{
		{"learning_rate", "0.0002"}, {"schedule", "cosine"}, {"warmup", "0.1"},
		{"epochs", "1"}, {"batch", "4"}, {"accumulate", "2"}, {"max_length", "2048"},
		{"rank", "16"}, {"alpha", "16"}, {"dropout", "0.05"},
	}},
}

// presetNames lists the presets of a method.
func presetNames(method string) (names []string) {
	for _, p := range presets {
		if p.method == method {
			names = append(names, p.name)
		}
	}
	return names
}

// value is what the preset sets a key to; "" leaves it alone.
func (p *preset) value(key string) string {
	i := slices.IndexFunc(p.values, func(v presetValue) bool { return v.key == key })
	if i < 0 {
		return ""
	}
	return p.values[i].text
}

// apply sets the fields that the preset names, and returns their keys.
func (p *preset) apply(fields []config.Field) (keys []string, err error) {
	for _, f := range fields {
		if text := p.value(f.Key); text != "" {
			if err := f.Set(text); err != nil {
				return nil, fmt.Errorf("preset %s: %s: %w", p.name, f.Key, err)
			}
			keys = append(keys, f.Key)
		}
	}
	return keys, nil
}

// String tells every value of the preset.
func (p *preset) String() string {
	var values []string
	for _, v := range p.values {
		values = append(values, v.key+" "+v.text)
	}
	return fmt.Sprintf("%s: %s (%s)", p.name, strings.Join(values, ", "), p.source)
}

// overridden tells the values that the file or the command line replaced.
func (p *preset) overridden(fields []config.Field) []string {
	var list []string
	for _, f := range fields {
		if text := p.value(f.Key); text != "" && f.String() != text {
			list = append(list, fmt.Sprintf("%s: %s, in place of the preset's %s", f.Key, f, text))
		}
	}
	return list
}

// presetFlag is the value of --preset.
type presetFlag struct {
	method string
	chosen *preset
}

// Set picks a preset of the method by its name.
func (f *presetFlag) Set(name string) error {
	i := slices.IndexFunc(presets, func(p preset) bool { return p.name == name && p.method == f.method })
	if i >= 0 {
		f.chosen = &presets[i]
		return nil
	}
	names := presetNames(f.method)
	if near := nearest.Name(name, names); near != "" {
		return fmt.Errorf("unknown preset %q of %s, did you mean %q", name, f.method, near)
	}
	return fmt.Errorf("unknown preset %q of %s: want %s", name, f.method, strings.Join(names, " or "))
}

// String is the name of the preset, or "".
func (f *presetFlag) String() string {
	if f == nil || f.chosen == nil {
		return ""
	}
	return f.chosen.name
}

// Type names the value in the help text.
func (f *presetFlag) Type() string { return "name" }

// addPreset adds --preset of a method.
func addPreset(c *cobra.Command, method string) {
	f := &presetFlag{method: method}
	flag := c.Flags().VarPF(f, presetKey, "", "values of a recipe by `name`, "+strings.Join(presetNames(method), " or ")+"; file and flags override it")
	flag.Annotations = map[string][]string{sectionKey: {inOut}}
}

// presetKey is the key of a settings file that names a preset.
const presetKey = "preset"

// readWithPreset sets the fields that a file names, and returns their keys. A
// preset in the file is taken where the command line has none.
func readWithPreset(flags *pflag.FlagSet, path string, fields []config.Field) ([]string, error) {
	flag := flags.Lookup(presetKey)
	if path == "" || flag == nil {
		return config.ReadIfNamed(path, fields)
	}
	var file struct {
		Preset string `yaml:"preset"`
	}
	keys, err := config.Read(path, append(fields[:len(fields):len(fields)], config.Fields(&file)...))
	if err != nil {
		return nil, err
	}
	if file.Preset != "" && presetOf(flags) == nil {
		if err := flag.Value.Set(file.Preset); err != nil {
			return nil, fmt.Errorf("config: %s: preset: %w", path, err)
		}
	}
	return slices.DeleteFunc(keys, func(key string) bool { return key == presetKey }), nil
}

// presetOf is the preset that the command line or the file asks for, or nil.
func presetOf(flags *pflag.FlagSet) *preset {
	flag := flags.Lookup("preset")
	if flag == nil {
		return nil
	}
	return flag.Value.(*presetFlag).chosen
}

// presetNotes tell the values of the preset that is asked for, and those of them that the file or a flag replaced.
func presetNotes(c *cobra.Command, fields []config.Field) []string {
	p := presetOf(c.Flags())
	if p == nil {
		return nil
	}
	return append([]string{"preset " + p.String()}, p.overridden(fields)...)
}
