package align

import (
	"errors"
	"strings"
	"testing"

	"align/internal/train"
	"align/model"
)

func TestCheckDisk(t *testing.T) {
	base := model.Config{HiddenSize: 64, IntermediateSize: 128, NumLayers: 2, NumHeads: 2, NumKVHeads: 2, HeadDim: 32, VocabSize: 100}
	a, err := model.NewAdapter(base, model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	one := int64(a.Parameters()) * 12
	for _, c := range []struct {
		name         string
		left         int64
		unknown      error
		resume       bool
		fails, noted bool
	}{
		{name: "room", left: 9 * one},
		{name: "for one", left: one, noted: true},
		{name: "for two", left: 3*one - 1, noted: true},
		{name: "for three", left: 3 * one},
		{name: "for none", left: one - 1, fails: true},
		{name: "for none, resumed", left: one - 1, resume: true, fails: true},
		{name: "for one, resumed", left: one, resume: true},
		{name: "no size", left: 0},
		{name: "not told", left: 1, unknown: errors.New("no")},
	} {
		var notes []string
		settings := train.DefaultSettings()
		settings.Resume = c.resume
		s := &stage{settings: &settings, adapter: a, run: "run", env: Environment{Note: func(line string) { notes = append(notes, line) }}}
		err := s.checkDisk(func(string) (int64, error) { return c.left, c.unknown })
		if (err != nil) != c.fails || c.fails && !strings.Contains(err.Error(), "run: a checkpoint takes about ") {
			t.Errorf("%s: error %v, want one: %v", c.name, err, c.fails)
		}
		if (len(notes) > 0) != c.noted {
			t.Errorf("%s: notes %q, want one: %v", c.name, notes, c.noted)
		}
	}
}
