package export_test

import (
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/internal/export"
	"align/internal/safetensors"
	"align/internal/work"
	"align/model"
)

// Each format writes its files and no others, and what it says of them is so.
func TestWrite(t *testing.T) {
	base := baseFolder(t)
	a, values := trained(t, configOf(t, base), 2)
	adapter, judge, whole := adapterFolder(t, a, values, base), scorerFolder(t, base), fullRun(t, base)
	parameters := int(configOf(t, base).Parameters())
	folder := []string{"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
	for name, c := range map[string]struct {
		o     export.Options
		files []string
		// near is how far a logit may be, relative to the largest: 0 where numbers
		// are copied, else the rounding of the type written.
		near float64
		want export.Result
		card string // a line of the model card
	}{
		"gguf": {
			o: export.Options{Adapter: adapter, Format: export.FormatGGUF}, files: []string{"out.README.md", "out.gguf"},
			want: export.Result{Parameters: a.Parameters(), Card: "out.README.md"}, card: "\nAdapter for ",
		},
		"peft": {
			o: export.Options{Adapter: adapter, Format: export.FormatPEFT}, files: []string{"README.md", "adapter_config.json", "adapter_model.safetensors"},
			want: export.Result{Parameters: a.Parameters()}, card: "\nAdapter for ",
		},
		"peft of a reward model": {
			o: export.Options{Adapter: judge, Format: export.FormatPEFT}, files: []string{"README.md", "adapter_config.json", "adapter_model.safetensors"},
			want: export.Result{Parameters: a.Parameters() + configOf(t, base).HiddenSize, Scores: true}, card: "\nReward model: adapter and score head for ",
		},
		"merged-hf": {
			o: export.Options{Adapter: adapter, Format: export.FormatMergedHF}, files: folder, near: bf16Tolerance,
			want: export.Result{Parameters: parameters}, card: " with an adapter merged into it.\n",
		},
		"merged-hf of a reward model": {
			o: export.Options{Adapter: judge, Format: export.FormatMergedHF}, files: folder, near: bf16Tolerance,
			want: export.Result{Parameters: parameters + configOf(t, base).HiddenSize, Scores: true}, card: " with an adapter merged into it, and a score head.\n",
		},
		"merged-gguf": {
			o:     export.Options{Adapter: adapter, Format: export.FormatMergedGGUF, Type: "f32"},
			files: []string{"out.Modelfile", "out.README.md", "out.gguf"}, near: f32Tolerance,
			want: export.Result{Parameters: parameters, Type: "f32", Modelfile: "out.Modelfile", Card: "out.README.md"}, card: " with an adapter merged into it.\n",
		},
		"merged-gguf of the base's type": {
			o:     export.Options{Adapter: adapter, Format: export.FormatMergedGGUF},
			files: []string{"out.Modelfile", "out.README.md", "out.gguf"}, near: bf16Tolerance,
			want: export.Result{Parameters: parameters, Type: "bf16", Modelfile: "out.Modelfile", Card: "out.README.md"}, card: " with an adapter merged into it.\n",
		},
		"hf": {
			o: export.Options{Adapter: whole, Format: export.FormatHF}, files: folder, // the masters are bf16 numbers here
			want: export.Result{Parameters: parameters, Type: "bf16"}, card: " with all weights trained.\n",
		},
		"hf with every bit": {
			o: export.Options{Adapter: whole, Format: export.FormatHF, Type: "f32"}, files: folder,
			want: export.Result{Parameters: parameters, Type: "f32"}, card: "Method sft, step 3 of 3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			out := outOf(dir, c.o.Format)
			c.o.Out = out
			e, err := export.Write(c.o, work.Environment{})
			if err != nil {
				t.Fatal(err)
			}
			written := dir
			if filepath.Ext(out) == "" {
				written = out
			}
			if got := names(t, written); !slices.Equal(got, c.files) {
				t.Errorf("wrote %v, want %v", got, c.files)
			}
			v := e.Checked
			if !(v.Scale > 0) || !(v.Difference <= c.near*v.Scale) || v.Tokens != 32 {
				t.Errorf("read back: %+v, want a difference of %v of the largest at most", v, c.near)
			}
			c.want.Path = out
			for _, beside := range []*string{&c.want.Modelfile, &c.want.Card} {
				if *beside != "" {
					*beside = filepath.Join(dir, *beside)
				}
			}
			if e.Checked = (model.Verification{}); e != c.want {
				t.Errorf("result %+v, want %+v", e, c.want)
			}
			i := slices.IndexFunc(c.files, func(name string) bool { return strings.HasSuffix(name, "README.md") })
			if text := read(t, written, c.files[i]); !strings.Contains(text, c.card) {
				t.Errorf("the card has no %q:\n%s", c.card, text)
			}
		})
	}
}

// f32Tolerance is of sums of float32 in another order, relative to the largest logit;
// bf16Tolerance of weights rounded to 8 bits (2^-9), which six layers carry on.
const (
	f32Tolerance  = 1e-5
	bf16Tolerance = 0.01
)

// An adapter alone keeps every bit of its values in both of its forms.
func TestAnAdapterKeepsItsBits(t *testing.T) {
	base := baseFolder(t)
	a, values := trained(t, configOf(t, base), 2)
	adapter := adapterFolder(t, a, values, base)
	for format, readBack := range map[string]func(string, model.Config) (*model.Adapter, []float32, error){
		export.FormatGGUF: model.ReadAdapterGGUF, export.FormatPEFT: model.ReadAdapter,
	} {
		out := outOf(t.TempDir(), format)
		if _, err := export.Write(export.Options{Adapter: adapter, Format: format, Out: out}, work.Environment{}); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		b, got, err := readBack(out, configOf(t, base))
		if err != nil || !slices.Equal(got, values) {
			t.Errorf("%s: other values (%v)", format, err)
		}
		if b.Config.Rank != 2 || b.Config.Alpha != 4 {
			t.Errorf("%s: rank %d, alpha %v", format, b.Config.Rank, b.Config.Alpha)
		}
	}
}

// A merged weight is W + alpha/rank B A, rounded once (https://arxiv.org/abs/2106.09685,
// section 4.1); one without an adapter is the base's.
func TestAMergedWeightIsTheSum(t *testing.T) {
	base := baseFolder(t)
	a, values := trained(t, configOf(t, base), 2)
	out := outOf(t.TempDir(), export.FormatMergedHF)
	o := export.Options{Adapter: adapterFolder(t, a, values, base), Format: export.FormatMergedHF, Out: out}
	if _, err := export.Write(o, work.Environment{}); err != nil {
		t.Fatal(err)
	}
	f, ok := a.At(3, "down_proj")
	if !ok {
		t.Fatal("layer 3 has no adapter")
	}
	was, is := weight(t, base, f.Name()), weight(t, out, f.Name())
	for row := range f.Out {
		for col := range f.In {
			sum := 0.0
			for k := range f.Rank {
				sum += float64(values[f.OffsetB+row*f.Rank+k]) * float64(values[f.OffsetA+k*f.In+col])
			}
			i := row*f.In + col
			want := float64(was[i]) + f.Scale*sum
			if d := math.Abs(float64(is[i]) - want); !(d <= math.Abs(want)*halfUlp) {
				t.Fatalf("%s[%d,%d] is %v, want %v", f.Name(), row, col, is[i], want)
			}
		}
	}
	if plain := "model.layers.3.mlp.up_proj"; !slices.Equal(weight(t, base, plain), weight(t, out, plain)) {
		t.Errorf("%s is not the base's", plain)
	}
}

// halfUlp is the most that rounding to bfloat16 changes a number by, and a little for a
// sum that is near the middle of two.
const halfUlp = 1.001 / 256

// weight is a matrix of a model's folder, row by row.
func weight(t *testing.T, folder, module string) []float32 {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, ok := f.Tensor(module + ".weight")
	if !ok {
		t.Fatalf("no tensor %s", module)
	}
	data := make([]byte, info.Bytes)
	values := make([]float32, info.Bytes/2)
	if err := errors.Join(f.ReadInto(info.Name, data), safetensors.ToFloat32(values, data, info.DType)); err != nil {
		t.Fatal(err)
	}
	return values
}
