package align

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/checkpoint"
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

// A run that found the disk full goes on with a smaller keep, as its hint says: what
// keep has no place for goes before the room is looked at, but for the best one.
func TestASmallerKeepMakesRoom(t *testing.T) {
	run := t.TempDir()
	for step := 1; step <= 4; step++ {
		part := checkpoint.Part{Name: train.StateFile, Write: func(w io.Writer) error {
			_, err := io.WriteString(w, `{"version":1,"best":{"metric":"eval_loss","step":2}}`)
			return err
		}}
		if _, err := checkpoint.Save(run, step, []checkpoint.Part{part}); err != nil {
			t.Fatal(err)
		}
	}
	settings := train.DefaultSettings()
	settings.Resume, settings.Keep = true, 1
	a, err := model.NewAdapter(model.Config{HiddenSize: 64, IntermediateSize: 128, NumLayers: 1, NumHeads: 2, NumKVHeads: 2, HeadDim: 32, VocabSize: 100},
		model.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	kept := func() []string {
		found, err := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	s := &stage{settings: &settings, adapter: a, run: run}
	full := func(string) (int64, error) { return 1 + int64(a.Parameters()*bytesPerTrained*(4-len(kept()))), nil }
	if err := s.checkDisk(full); err != nil {
		t.Fatal(err)
	}
	if found := kept(); len(found) != 2 || filepath.Base(found[0]) != "step-000002" || filepath.Base(found[1]) != "step-000004" {
		t.Errorf("kept %q", found)
	}
}
