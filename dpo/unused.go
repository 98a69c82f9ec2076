package dpo

import (
	"fmt"
	"slices"
	"strings"
)

// readers names the losses that read a setting; the others leave it out.
var readers = []struct {
	key    string
	losses []string
	value  func(Config) float64
}{
	{"label_smoothing", []string{"sigmoid", "robust", "exo_pair", "simpo", "cpo"}, func(c Config) float64 { return c.LabelSmoothing }},
	{"simpo_gamma", []string{"simpo"}, func(c Config) float64 { return c.SimPOGamma }},
	{"cpo_alpha", []string{"cpo"}, func(c Config) float64 { return c.CPOAlpha }},
	{"discopop_tau", []string{"discopop"}, func(c Config) float64 { return c.DiscoPOPTau }},
	{"desirable_weight", []string{"kto", "apo_zero_unpaired"}, func(c Config) float64 { return c.DesirableWeight }},
	{"undesirable_weight", []string{"kto", "apo_zero_unpaired"}, func(c Config) float64 { return c.UndesirableWeight }},
}

// Unused tells of settings that are not at their defaults and that the loss does
// not read, a line for each. Such a run is not what its settings look like.
func (c Config) Unused() []string {
	loss, err := ParseWeighted(c.Loss)
	if err != nil {
		return nil // Validate's to tell
	}
	var lines []string
	for _, r := range readers {
		read := slices.ContainsFunc(loss, func(t Term) bool { return slices.Contains(r.losses, t.Loss.Name) })
		if !read && r.value(c) != r.value(DefaultConfig()) {
			lines = append(lines, fmt.Sprintf("%s: %v has no effect with the loss %s: it is of %s", r.key, r.value(c), c.Loss, strings.Join(r.losses, ", ")))
		}
	}
	return lines
}
