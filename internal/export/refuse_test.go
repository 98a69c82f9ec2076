package export_test

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/export"
	"align/internal/fixture"
	"align/internal/work"
)

// What is wrong is told, and nothing is left of the attempt: no file, no folder above
// it, nothing half-written.
func TestWriteRefuses(t *testing.T) {
	base := baseFolder(t)
	a, values := trained(t, configOf(t, base), 2)
	narrow := configOf(t, base)
	narrow.HiddenSize = 64
	b, fewer := trained(t, narrow, 2)
	diverged := slices.Clone(values)
	diverged[a.Factors[0].OffsetB] = float32(math.NaN())
	adapter, whole := adapterFolder(t, a, values, base), fullRun(t, base)
	for name, c := range map[string]struct {
		o    export.Options
		want string
	}{
		"no adapter":               {export.Options{Adapter: "none", Format: export.FormatPEFT}, "adapter: "},
		"a folder of nothing":      {export.Options{Adapter: t.TempDir(), Format: export.FormatGGUF}, "has neither adapter_config.json nor checkpoints"},
		"an adapter without base":  {export.Options{Adapter: adapterFolder(t, a, values, ""), Format: export.FormatGGUF}, "does not name its base model: name it with --model"},
		"a base that is not there": {export.Options{Adapter: adapter, Model: "none", Format: export.FormatMergedHF}, "model: "},
		"another model's shapes":   {export.Options{Adapter: adapterFolder(t, b, fewer, base), Format: export.FormatPEFT}, "adapter does not fit the base model: tensor "},
		"a NaN":                    {export.Options{Adapter: adapterFolder(t, a, diverged, base), Format: export.FormatMergedGGUF}, "holds NaN: the training that wrote it had diverged"},
		"an adapter of all":        {export.Options{Adapter: whole, Format: export.FormatGGUF}, "trained all weights and has no adapter: want hf, merged-hf or merged-gguf"},
		"all of an adapter":        {export.Options{Adapter: adapter, Format: export.FormatHF}, "is an adapter, and hf is for runs that trained all weights: want merged-hf"},
		"a base for all":           {export.Options{Adapter: whole, Model: base, Format: export.FormatHF}, "trained all weights and is its own base: leave it out"},
		"scores in a GGUF":         {export.Options{Adapter: scorerFolder(t, base), Format: export.FormatMergedGGUF}, "a merged GGUF cannot hold its head, want peft or merged-hf"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.o.Out = outOf(filepath.Join(dir, "new"), c.o.Format)
			refuses(t, c.o, c.want)
			if left := names(t, dir); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

func refuses(t *testing.T, o export.Options, want string) {
	t.Helper()
	if _, err := export.Write(o, work.Environment{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

// A name that cannot be written is told before a weight is read, and what lies there
// stays.
func TestWriteRefusesAPlace(t *testing.T) {
	base := baseFolder(t)
	a, values := trained(t, configOf(t, base), 2)
	adapter, dir := adapterFolder(t, a, values, base), t.TempDir()
	fixture.Write(t, "mine", dir, "file")
	fixture.Write(t, "mine", dir, "taken.gguf")
	fixture.Write(t, "mine", dir, "carded.README.md")
	fixture.Write(t, "mine", dir, "made.Modelfile")
	before := names(t, dir)
	for name, c := range map[string]struct{ format, out, want string }{
		"no name":               {export.FormatPEFT, "-", "out: - is no name"},
		"a file of that name":   {export.FormatPEFT, filepath.Join(dir, "file"), "file exists: want a new name"},
		"a GGUF of that name":   {export.FormatMergedGGUF, filepath.Join(dir, "taken.gguf"), "taken.gguf exists: want a new name"},
		"a folder below a file": {export.FormatMergedHF, filepath.Join(dir, "file", "out"), "file is a file"},
		"the card of another":   {export.FormatGGUF, filepath.Join(dir, "carded.gguf"), "carded.README.md exists: want a new name"},
		"another's Modelfile":   {export.FormatMergedGGUF, filepath.Join(dir, "made.gguf"), "made.Modelfile exists: want a new name"},
		"a GGUF as a folder":    {export.FormatGGUF, dir + string(filepath.Separator), "is the name of a folder: want that of a file"},
		"weights as a folder":   {export.FormatPEFT, filepath.Join(dir, "x.safetensors"), "the format peft is a folder"},
		"a GGUF of weights":     {export.FormatGGUF, filepath.Join(dir, "x.safetensors"), "the format gguf is a .gguf file"},
	} {
		t.Run(name, func(t *testing.T) {
			refuses(t, export.Options{Adapter: adapter, Format: c.format, Out: c.out}, c.want)
			if left := names(t, dir); !slices.Equal(left, before) {
				t.Errorf("%v lies there, want %v", left, before)
			}
		})
	}
	for _, name := range before {
		if got := read(t, dir, name); got != "mine" {
			t.Errorf("%s is written over: %q", name, got)
		}
	}
}

// What comes to lie at the name while the export is made is not written over, and
// nothing is left beside it.
func TestWriteKeepsWhatCameMeanwhile(t *testing.T) {
	base := baseFolder(t)
	a, values := trained(t, configOf(t, base), 2)
	adapter, whole := adapterFolder(t, a, values, base), fullRun(t, base)
	for _, o := range []export.Options{
		{Adapter: adapter, Format: export.FormatPEFT}, {Adapter: adapter, Format: export.FormatMergedHF}, {Adapter: whole, Format: export.FormatHF},
	} {
		t.Run(o.Format, func(t *testing.T) {
			dir := t.TempDir()
			o.Out = filepath.Join(dir, "out")
			// The summary of the model is told when it is loaded: after the name was looked at.
			env := work.Environment{Note: func(line string) {
				if strings.HasPrefix(line, "model: ") {
					fixture.Write(t, "mine", o.Out, "theirs")
				}
			}}
			if _, err := export.Write(o, env); err == nil || !strings.Contains(err.Error(), "exists") {
				t.Errorf("error %v, want that the name exists", err)
			}
			if left := names(t, dir); !slices.Equal(left, []string{"out"}) {
				t.Errorf("%v is left, want out alone", left)
			}
			if got := names(t, o.Out); !slices.Equal(got, []string{"theirs"}) {
				t.Errorf("out holds %v", got)
			}
		})
	}
}

// All faults of the options come at once, and none of those that fit.
func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		o    export.Options
		want []string
	}{
		"nothing":              {export.Options{}, []string{`format: want one of gguf, peft, merged-hf, merged-gguf, hf, got ""`, "out is missing"}},
		"a format of others":   {export.Options{Format: "onnx", Out: "x"}, []string{`got "onnx"`}},
		"a type of others":     {export.Options{Format: export.FormatMergedGGUF, Type: "q3_k", Out: "x"}, []string{`type: want one of f32, f16, bf16, q8_0, q4_0, q4_k, q6_k, got "q3_k"`}},
		"a GGUF's type":        {export.Options{Format: export.FormatHF, Type: "q8_0", Out: "x"}, []string{`type: want f32 or bf16 for the format hf, got "q8_0"`}},
		"a type of an adapter": {export.Options{Format: export.FormatGGUF, Type: "q8_0"}, []string{"type: q8_0 is for the format merged-gguf", "out is missing"}},
		"a merged GGUF":        {export.Options{Format: export.FormatMergedGGUF, Type: "q8_0", Out: "x"}, nil},
		"a folder":             {export.Options{Format: export.FormatHF, Type: "f32", Out: "x"}, nil},
	} {
		err := c.o.Validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q has no %q", name, err, want)
			}
		}
		if err != nil && strings.Count(err.Error(), "\n") != len(c.want)-1 {
			t.Errorf("%s: %q, want %d faults", name, err, len(c.want))
		}
	}
}
