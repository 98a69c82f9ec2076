package align

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"align/datasets"
	"align/internal/atomicfile"
	"align/model"
)

// Export formats.
const (
	FormatGGUF = "gguf"
	FormatPEFT = "peft"
)

// ExportOptions say what to write of a run, checkpoint or adapter.
type ExportOptions struct {
	// Adapter is a run, a checkpoint or an adapter folder.
	Adapter string
	// Model is the base model; "" takes the one that the run names.
	Model  string
	Format string
	// Out is the file (gguf) or folder (peft) to write.
	Out string
	Compute
}

// Exported says what was written and how it was checked.
type Exported struct {
	Path       string
	Parameters int
	// Difference is the largest difference of a logit between the adapter and
	// the file read back, on CheckedTokens tokens; Scale the largest logit.
	Difference, Scale float64
	CheckedTokens     int
}

// Export writes an adapter for other programs, then reads the file back and
// compares logits.
func Export(o ExportOptions, env Environment) (Exported, error) {
	if o.Format != FormatGGUF && o.Format != FormatPEFT {
		return Exported{}, fmt.Errorf("format %q: want %s or %s", o.Format, FormatGGUF, FormatPEFT)
	}
	if o.Out == "" {
		return Exported{}, errors.New("out is missing: the file or folder to write")
	}
	folder, err := AdapterFolder(o.Adapter)
	if err != nil {
		return Exported{}, err
	}
	if o.Model, err = baseOf(folder, o.Model); err != nil {
		return Exported{}, err
	}
	b, act, err := o.Compute.open(env)
	if err != nil {
		return Exported{}, err
	}
	defer b.Close()
	m, err := model.Load(o.Model, b, act, env.progress("loading the model"))
	if err != nil {
		return Exported{}, err
	}
	a, values, err := model.ReadAdapter(folder, m.Config)
	if err != nil {
		return Exported{}, err
	}
	if err := writeAdapter(o, m, a, values); err != nil {
		return Exported{}, err
	}
	return verifyExport(o, m, a, values)
}

// baseOf is the base model to use with an adapter: the given one, or the folder
// that the adapter names.
func baseOf(folder, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	base, err := model.AdapterBase(folder)
	if err != nil {
		return "", err
	}
	if base == "" || !has(base, "config.json") {
		return "", fmt.Errorf("%s names %q as its base model, which is not a model folder here: name it with --model", folder, base)
	}
	return base, nil
}

func writeAdapter(o ExportOptions, m *model.Model, a *model.Adapter, values []float32) error {
	if o.Format == FormatGGUF {
		if info, err := os.Stat(o.Out); err == nil && info.IsDir() {
			return fmt.Errorf("out: %s is a folder: want the name of a file", o.Out)
		}
		return atomicfile.WriteFile(o.Out, func(w io.Writer) error {
			return a.WriteAdapterGGUF(w, m.Config, filepath.Base(filepath.Clean(o.Adapter)), values)
		})
	}
	if _, err := os.Stat(o.Out); err == nil {
		return fmt.Errorf("out: %s exists: want the name of a new folder", o.Out)
	}
	conf, err := a.PEFTConfig(o.Model)
	if err != nil {
		return err
	}
	d, err := atomicfile.Stage(filepath.Dir(o.Out), filepath.Base(o.Out))
	if err != nil {
		return err
	}
	err = errors.Join(
		d.WriteFile(model.AdapterConfigFile, func(w io.Writer) error { _, err := w.Write(conf); return err }),
		d.WriteFile(model.AdapterWeightsFile, func(w io.Writer) error { return a.WriteWeights(w, values) }))
	if err != nil {
		return errors.Join(err, d.Abort())
	}
	return d.Commit()
}

// checkTokens is how many tokens an export is compared on.
const checkTokens = 32

// verifyExport reads the file back and compares the logits of some tokens.
func verifyExport(o ExportOptions, m *model.Model, a *model.Adapter, values []float32) (Exported, error) {
	var back *model.Adapter
	var backValues []float32
	var err error
	if o.Format == FormatGGUF {
		back, backValues, err = model.ReadAdapterGGUF(o.Out, m.Config)
	} else {
		back, backValues, err = model.ReadAdapter(o.Out, m.Config)
	}
	if err != nil {
		return Exported{}, fmt.Errorf("reading the export back: %w", err)
	}
	want, err := logits(m, a, values)
	if err != nil {
		return Exported{}, err
	}
	got, err := logits(m, back, backValues)
	if err != nil {
		return Exported{}, err
	}
	e := Exported{Path: o.Out, Parameters: a.Parameters(), CheckedTokens: len(want) / m.Config.VocabSize}
	for i := range want {
		e.Difference = max(e.Difference, math.Abs(got[i]-want[i]))
		e.Scale = max(e.Scale, math.Abs(want[i]))
	}
	// The adapter's numbers are copied; only a folded scale may round.
	if !(e.Difference <= 1e-4*e.Scale) {
		return e, fmt.Errorf("the export does not give the adapter's logits: they differ by %v of %v", e.Difference, e.Scale)
	}
	return e, nil
}

// logits are those of the first tokens of the vocabulary in a row.
func logits(m *model.Model, a *model.Adapter, values []float32) ([]float64, error) {
	if err := m.AllocAdapter(a, values); err != nil {
		return nil, err
	}
	var p datasets.Pack
	e := datasets.Example{}
	for i := range min(checkTokens, m.Config.VocabSize) {
		e.IDs, e.LossMask = append(e.IDs, int32(i)), append(e.LossMask, true)
	}
	p.AddExample(e, 0)
	d, err := model.NewDecoder(m.Config, m.Activations(), model.DecoderOptions{Capacity: model.SizeOf(&p, 0), Adapter: a})
	if err != nil {
		return nil, err
	}
	node := d.Linear(d.Hidden, d.Head, nil)
	s, err := d.Compile(m, nil, node)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.Load(&p, 0); err != nil {
		return nil, err
	}
	if err := s.Run(); err != nil {
		return nil, err
	}
	return s.Float64s(nil, node)
}
