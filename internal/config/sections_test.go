package config

import (
	"slices"
	"strings"
	"testing"
)

type outer struct {
	Rounds int    `yaml:"rounds"`
	Stages string `yaml:"stages"`
}

type inner struct {
	Rate float64 `yaml:"learning_rate"`
	Loss string  `yaml:"loss"`
}

func sectionsOf(o *outer, i *inner) map[string][]Field {
	return map[string][]Field{"": Fields(o), "sft": Fields(i)}
}

func TestSectionsAreSet(t *testing.T) {
	for _, text := range []string{
		"rounds: 3\nstages: [reward, sft]\nsft:\n  learning_rate: 1e-3\n  loss: x\n",
		"# a recipe\nsft: {learning_rate: 0.001, loss: x}\nstages:\n  - reward\n  - sft\nrounds: 3\n",
		"stages: reward,sft\nrounds: 3\nsft:\n  loss: x\n  learning_rate: 1.0e-3\n",
	} {
		var o outer
		var i inner
		keys, err := parseSections("f.yaml", []byte(text), sectionsOf(&o, &i))
		if err != nil || o != (outer{3, "reward,sft"}) || i != (inner{1e-3, "x"}) {
			t.Errorf("%q: %+v %+v, %v", text, o, i, err)
		}
		slices.Sort(keys["sft"])
		if !slices.Equal(keys["sft"], []string{"learning_rate", "loss"}) {
			t.Errorf("%q: keys %v", text, keys)
		}
	}
	var o outer
	var i inner
	both := map[string][]Field{"": Fields(&o), "stages": Fields(&i)}
	if _, err := parseSections("f.yaml", []byte("stages: a"), both); err != nil || o.Stages != "a" {
		t.Errorf("a key: %+v, %v", o, err)
	}
	if _, err := parseSections("f.yaml", []byte("stages:\n  loss: b"), both); err != nil || i.Loss != "b" {
		t.Errorf("a section of the same name: %+v, %v", i, err)
	}
	if _, err := parseSections("f.yaml", []byte("sft:\n"), sectionsOf(&o, &inner{})); err != nil {
		t.Errorf("an empty section: %v", err)
	}
}

func TestFaultsOfSectionsAreToldWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"round: 3":                           `f.yaml:1: unknown key "round", did you mean "rounds"`,
		"rounds: x":                          `f.yaml:1: rounds: want a whole number, got "x"`,
		"rounds: 1\nsff:\n  loss: x":         `f.yaml:2: unknown key "sff", did you mean "sft"`,
		"sft:\n  los: x":                     `f.yaml:2: unknown key "los", did you mean "loss" (in section sft)`,
		"sft: 3":                             "f.yaml:1: sft: want indented lines",
		"sft:\n  loss: {a: b}":               "f.yaml:2: loss: want one value",
		"rounds: [1, 2]":                     "f.yaml:1: rounds: want one value",
		"stages: [[a], b]":                   "f.yaml:1: stages: want one value",
		"rounds: 1\nrounds: 2":               "f.yaml:2: ",
		"sft:\n  loss: a\nsft:\n  loss: b":   "f.yaml:3: ",
		"a: 1\n---\nb: 2":                    "2 YAML documents",
		"sft:\n  learning_rate: 1\n loss: x": "f.yaml:",
	} {
		_, err := parseSections("f.yaml", []byte(text), sectionsOf(&outer{}, &inner{}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzSections(f *testing.F) {
	for _, s := range []string{"rounds: 3\nstages: [a, b]\nsft:\n  loss: x\n", "sft: {loss: [", "? a\n: b", "sft: &a\n  loss: *a", "stages:\n - a\n - b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = parseSections("f.yaml", []byte(s), sectionsOf(&outer{}, &inner{}))
	})
}
