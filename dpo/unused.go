package dpo

import (
	"fmt"
	"slices"
	"strings"
)

// lossSettings are the settings that some losses alone read, by losses' table.
var lossSettings = []struct {
	key   string
	value func(Config) any
}{
	{"label_smoothing", func(c Config) any { return c.LabelSmoothing }},
	{"simpo_gamma", func(c Config) any { return c.SimPOGamma }},
	{"cpo_alpha", func(c Config) any { return c.CPOAlpha }},
	{"discopop_tau", func(c Config) any { return c.DiscoPOPTau }},
	{"desirable_weight", func(c Config) any { return c.DesirableWeight }},
	{"undesirable_weight", func(c Config) any { return c.UndesirableWeight }},
	{divergenceKey, func(c Config) any { return c.FDivergenceType }},
	{alphaKey, func(c Config) any { return c.FAlphaDivergenceCoef }},
}

// Unused tells of settings that are not at their defaults and that the loss does
// not read, a line for each. Such a run is not what its settings look like.
func (c Config) Unused() []string {
	loss, err := ParseWeighted(c.Loss)
	if err != nil {
		return nil // Validate's to tell
	}
	var lines []string
	for _, s := range lossSettings {
		read := slices.ContainsFunc(loss, func(t Term) bool { return slices.Contains(t.Loss.reads, s.key) })
		if !read && s.value(c) != s.value(DefaultConfig()) {
			lines = append(lines, fmt.Sprintf("%s: %v has no effect with the loss %s: it is of %s", s.key, s.value(c), c.Loss, strings.Join(readersOf(s.key), ", ")))
		}
	}
	told := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, alphaKey) })
	if !told && c.FDivergenceType != AlphaDivergence && c.FAlphaDivergenceCoef != DefaultConfig().FAlphaDivergenceCoef {
		lines = append(lines, fmt.Sprintf("%s: %v has no effect with %s %s: it is of %s", alphaKey, c.FAlphaDivergenceCoef, divergenceKey, c.FDivergenceType, AlphaDivergence))
	}
	return lines
}

// readersOf names the losses that read a setting.
func readersOf(key string) (names []string) {
	for _, l := range losses {
		if slices.Contains(l.reads, key) {
			names = append(names, l.Name)
		}
	}
	return names
}
