package dpo

import (
	"strings"
	"testing"

	"align/internal/exec/exectest"
)

// Ensure that a setting is called unused exactly where the loss does not change
// with it.
func TestUnusedIsWhatChangesNothing(t *testing.T) {
	v := batch{exectest.Value{-8}, exectest.Value{-12}, exectest.Value{-9}, exectest.Value{-11}, exectest.Value{4}, exectest.Value{6}}
	changes := map[string]func(*Config){
		"label_smoothing": func(c *Config) { c.LabelSmoothing = 0.2 },
		"simpo_gamma":     func(c *Config) { c.SimPOGamma = 0.9 },
		"cpo_alpha":       func(c *Config) { c.CPOAlpha = 0.3 },
		"discopop_tau":    func(c *Config) { c.DiscoPOPTau = 0.4 },
		divergenceKey:     func(c *Config) { c.FDivergenceType = JSDivergence },
		alphaKey:          func(c *Config) { c.FAlphaDivergenceCoef = 0.3 },
	}
	b := backend(t)
	value := func(c Config) float64 {
		p := c.Params()
		if p.LabelSmoothing == 0 {
			p.LabelSmoothing = 1e-3 // exo_pair's least
		}
		got, _ := exectest.Evaluate(t, b, formula(t, c.Loss, p), v.values()...)
		return got[0]
	}
	for _, l := range Losses() {
		if l.paired == nil {
			continue
		}
		for key, change := range changes {
			before := DefaultConfig()
			before.Loss = l.Name
			after := before
			change(&after)
			same := value(before) == value(after)
			if told := strings.Contains(strings.Join(after.Unused(), "\n"), key+":"); told != same {
				t.Errorf("%s, %s: told %v, the loss is the same: %v", l.Name, key, told, same)
			}
			if lines := before.Unused(); lines != nil {
				t.Errorf("%s: %v at its defaults", l.Name, lines)
			}
		}
	}
}

func TestUnused(t *testing.T) {
	c := DefaultConfig()
	c.SimPOGamma, c.UndesirableWeight = 2, 1.5
	want := "simpo_gamma: 2 has no effect with the loss sigmoid: it is of simpo\nundesirable_weight: 1.5 has no effect with the loss sigmoid: it is of kto, apo_zero_unpaired"
	if got := strings.Join(c.Unused(), "\n"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.FDivergenceType, c.FAlphaDivergenceCoef = AlphaDivergence, 0.3
	if got := strings.Join(c.Unused(), "\n"); got != want {
		t.Errorf("with another divergence: got %q, want %q", got, want)
	}
	c.FDivergenceType, c.FAlphaDivergenceCoef = ReverseKL, DefaultConfig().FAlphaDivergenceCoef
	c.Loss = "sigmoid:1,simpo:0.5"
	if got := c.Unused(); len(got) != 1 {
		t.Errorf("with simpo in the sum: %q", got)
	}
	c.Loss = "kto"
	if got := c.Unused(); len(got) != 1 || !strings.HasPrefix(got[0], "simpo_gamma") {
		t.Errorf("kto: %q", got)
	}
}

// What a loss reads is a setting by its key, and every such setting is read.
func TestReadsAreSettings(t *testing.T) {
	read := map[string]bool{}
	for _, l := range Losses() {
		for _, key := range l.reads {
			read[key] = true
		}
	}
	for _, s := range lossSettings {
		if !read[s.key] {
			t.Errorf("no loss reads %s", s.key)
		}
		delete(read, s.key)
	}
	if len(read) > 0 {
		t.Errorf("no setting of a loss: %v", read)
	}
}
