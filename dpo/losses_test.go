package dpo

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLookupNamesTheNearest(t *testing.T) {
	for name, want := range map[string]string{
		"sigmod":  `dpo: loss "sigmod" is unknown: did you mean sigmoid`,
		"IPO-sum": `dpo: loss "IPO-sum" is unknown: did you mean ipo_sum`,
		"quality": `dpo: loss "quality" is unknown: want one of sigmoid, robust,`,
		"":        `dpo: loss "" is unknown: want one of sigmoid,`,
	} {
		if _, err := Lookup(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Lookup(%q): got %v, want %s", name, err, want)
		}
	}
}

func TestParseWeighted(t *testing.T) {
	for text, want := range map[string]string{
		"sigmoid":                 "sigmoid",
		" sigmoid : 1 , sft:0.2 ": "sigmoid,sft:0.2",
		"ipo:2.5,hinge:1e-3":      "ipo:2.5,hinge:0.001",
		"kto:1":                   "kto",
	} {
		w, err := ParseWeighted(text)
		if err != nil || w.String() != want {
			t.Errorf("ParseWeighted(%q): got %q, %v, want %q", text, w, err, want)
		}
	}
}

func TestParseWeightedTellsAllFaults(t *testing.T) {
	for text, want := range map[string][]string{
		"":                     {`loss "" is unknown`},
		"sigmoid,":             {`loss "" is unknown`},
		"sigmoid:x,robus:1":    {`weight of loss "sigmoid" must be a positive number, got "x"`, "did you mean robust"},
		"sigmoid:0":            {`got "0"`},
		"sigmoid:-1":           {`got "-1"`},
		"sigmoid:NaN,ipo:+Inf": {`got "NaN"`, `got "+Inf"`},
		"sigmoid:":             {`got ""`},
		"sigmoid,sigmoid:2":    {`loss "sigmoid" is given twice`},
		"kto,sft":              {"mixes losses of pairs and of single answers"},
	} {
		_, err := ParseWeighted(text)
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("ParseWeighted(%q): got %v, want %s", text, err, part)
			}
		}
	}
}

func FuzzParseWeighted(f *testing.F) {
	for _, s := range []string{"sigmoid", "sigmoid:1,sft:0.2", "kto", ":,", "ipo:1e400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWeighted(s)
		if err != nil {
			return
		}
		again, err := ParseWeighted(w.String())
		if err != nil || again.String() != w.String() {
			t.Errorf("%q is read as %q, which is read as %q, %v", s, w, again, err)
		}
	})
}

func TestReferenceFree(t *testing.T) {
	for text, want := range map[string]bool{"simpo": true, "orpo,sft:0.1": true, "sigmoid,sft": false, "kto": false} {
		w, err := ParseWeighted(text)
		if err != nil || w.ReferenceFree() != want {
			t.Errorf("%s: reference-free is %v, %v, want %v", text, w.ReferenceFree(), err, want)
		}
	}
}

func TestValidateTellsAllFaults(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		loss string
		p    Params
		want []string
	}{
		{"sigmoid", Params{Beta: 0}, []string{"dpo: sigmoid: beta must be positive, got 0"}},
		{"sigmoid", Params{Beta: nan, LabelSmoothing: nan}, []string{"beta", "label_smoothing"}},
		{"robust", Params{Beta: 1, LabelSmoothing: 0.5}, []string{"dpo: robust: label_smoothing must lie in [0, 0.5), got 0.5"}},
		{"exo_pair", Params{Beta: 1}, []string{"dpo: exo_pair: label_smoothing must lie in (0, 0.5], got 0: 0.001 is usual"}},
		{"discopop", Params{Beta: 1, DiscoPOPTau: 2}, []string{"discopop_tau must lie in (0, 1], got 2"}},
		{"simpo", Params{Beta: 1, SimPOGamma: -1, LabelSmoothing: 1}, []string{"simpo_gamma", "label_smoothing"}},
		{"cpo", Params{Beta: 1, CPOAlpha: -1}, []string{"cpo_alpha"}},
		{"kto", Params{Beta: 1}, []string{"desirable_weight"}},
		{"sigmoid,robust", Params{Beta: -1}, []string{"dpo: sigmoid: beta", "dpo: robust: beta"}},
	} {
		w, err := ParseWeighted(c.loss)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Validate(c.p)
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s with %+v: got %v, want %s", c.loss, c.p, err, part)
			}
		}
	}
	for _, name := range Names() {
		p := DefaultParams()
		if name == "exo_pair" {
			p.LabelSmoothing = 1e-3
		}
		if l, err := Lookup(name); err != nil || l.Validate(p) != nil {
			t.Errorf("%s with its usual params: %v, %v", name, err, l.Validate(p))
		}
	}
}

// What help tells of a loss stands in the source: its line, and a paper that its
// function names.
func TestEveryLossIsTold(t *testing.T) {
	files, err := filepath.Glob("loss*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if file != "losses.go" {
			source.Write(text)
		}
	}
	for _, l := range Losses() {
		if l.About == "" {
			t.Errorf("%s has no line", l.Name)
		}
		if l.Paper != "" && !strings.Contains(source.String(), "https://arxiv.org/abs/"+l.Paper) {
			t.Errorf("%s: no loss of this package names the paper %s", l.Name, l.Paper)
		}
	}
}
