package model

import (
	"slices"
	"strings"
	"testing"
)

func TestParseTargetsNamesTheNearest(t *testing.T) {
	for _, c := range []struct {
		in, want string // want: names, or a part of the error
		wrong    bool
	}{
		{"all-linear", strings.Join(Modules, ","), false},
		{"q_proj, v_proj", "q_proj,v_proj", false},
		{"q_prj", `no module is called "q_prj" (did you mean q_proj?)`, true},
		{"all_linear", "did you mean all-linear?", true},
		{"foo", `no module is called "foo": want all-linear or some of `, true},
		{"q_proj,", `no module is called ""`, true},
	} {
		targets, err := ParseTargets(c.in)
		if c.wrong != (err != nil) {
			t.Errorf("%q: %v, %v", c.in, targets, err)
		} else if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && strings.Join(targets, ",") != c.want {
			t.Errorf("%q: %v, %v, want %s", c.in, targets, err, c.want)
		}
	}
}

func TestParseLayers(t *testing.T) {
	for _, c := range []struct {
		in    string
		want  []int
		wrong string
	}{
		{"", nil, ""},
		{"3", []int{3}, ""},
		{"2-4, 0,3", []int{0, 2, 3, 4}, ""},
		{"3-1", nil, "3-1 ends before it begins"},
		{"0-8", nil, "the last layer is 7"},
		{"-1", nil, "not a list of layers"},
		{"1-2x", nil, "not a list of layers"},
		{"1,,2", nil, "not a list of layers"},
		{"99999999999", nil, "not a list of layers"},
	} {
		layers, err := ParseLayers(c.in, 8)
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) || !slices.Equal(layers, c.want) {
			t.Errorf("%q: %v, %v, want %v %s", c.in, layers, err, c.want, c.wrong)
		}
	}
}
