package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"align/internal/nearest"
)

// ParseTargets reads "all-linear" or module names separated by commas.
func ParseTargets(s string) ([]string, error) {
	if s == "all-linear" {
		return slices.Clone(Modules), nil
	}
	var targets []string
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(Modules, name) {
			return nil, fmt.Errorf("targets: no module is called %q%s: want all-linear or some of %s", name, meant(name), strings.Join(Modules, ", "))
		}
		targets = append(targets, name)
	}
	return targets, nil
}

func meant(name string) string {
	near := nearest.Name(name, append([]string{"all-linear"}, Modules...))
	if near == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", near)
}

// MaxLayers is above the depth of any model: what ParseLayers takes where the model
// is not known yet.
const MaxLayers = 1 << 12

// ParseLayers reads "8-15", "3" or a list of these, of a model of numLayers
// layers; "" is all layers (nil).
func ParseLayers(s string, numLayers int) ([]int, error) {
	if s == "" {
		return nil, nil
	}
	var layers []int
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, err := layerRange(part)
		if err != nil {
			return nil, fmt.Errorf("layers: %q is not a list of layers like 8-15 or 0,3", s)
		}
		if hi < lo {
			return nil, fmt.Errorf("layers: %q: %s ends before it begins", s, part)
		}
		if hi >= numLayers {
			return nil, fmt.Errorf("layers: %q: the last layer is %d", s, numLayers-1)
		}
		for l := lo; l <= hi; l++ {
			layers = append(layers, l)
		}
	}
	slices.Sort(layers)
	return slices.Compact(layers), nil
}

// layerRange reads "8-15" or "3".
func layerRange(part string) (lo, hi int, err error) {
	first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
	from, err := strconv.ParseUint(first, 10, 31)
	if err != nil || !isRange {
		return int(from), int(from), err
	}
	to, err := strconv.ParseUint(last, 10, 31)
	return int(from), int(to), err
}
