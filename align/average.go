package align

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"align/internal/atomicfile"
	"align/internal/basemodel"
	"align/internal/place"
	"align/internal/runfolder"
	"align/model"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// AverageFile is the file of an averaged adapter that says what it is made of.
const AverageFile = "average.json"

// Averaged says what an average is made of.
type Averaged struct {
	// Out is the folder that was written.
	Out string `json:"out"`
	// Parts are the adapters' folders and hashes of their values.
	Parts []AveragedPart `json:"parts"`
	// Parameters is the number of values of each.
	Parameters int `json:"parameters"`
}

// AveragedPart is one adapter of an average.
type AveragedPart struct {
	Path string `json:"path"`
	Hash string `json:"hash"`
}

// Average writes the mean of the values of adapters of equal layout on one base
// as a PEFT folder (https://arxiv.org/abs/2407.21783, section 4.1.5). It is the
// mean of the factors A and B, not of the products BA: adapters that began as
// the same one lie close enough for that. model names the base; "" takes the
// one that the adapters name.
func Average(runs []string, modelPath, out string) (Averaged, error) {
	if len(runs) < 2 {
		return Averaged{}, fmt.Errorf("average: %d adapters: want at least 2", len(runs))
	}
	if out == "" {
		return Averaged{}, errors.New("average: out is missing: the folder to write")
	}
	out, err := place.Folder(out)
	if err != nil {
		return Averaged{}, err
	}
	m, err := newMean(runs[0], modelPath)
	if err != nil {
		return Averaged{}, err
	}
	for _, run := range runs {
		if err := m.add(run); err != nil {
			return Averaged{}, err
		}
	}
	r := Averaged{Out: out, Parts: m.parts, Parameters: m.first.Parameters()}
	return r, m.write(r)
}

// mean is a sum of adapters under way.
type mean struct {
	base   string
	config model.Config
	first  *model.Adapter
	sum    []float64
	parts  []AveragedPart
}

func newMean(run, modelPath string) (*mean, error) {
	folder, err := runfolder.AdapterFolder(run)
	if err != nil {
		return nil, err
	}
	m := &mean{}
	if m.base, err = basemodel.Of(folder, modelPath); err != nil {
		return nil, err
	}
	if m.base, err = basemodel.Resolve(m.base); err != nil {
		return nil, err
	}
	m.config, err = model.ReadConfig(m.base)
	return m, err
}

// add adds an adapter, which must have the base and the layout of the first.
func (m *mean) add(run string) error {
	folder, err := runfolder.AdapterFolder(run)
	if err != nil {
		return err
	}
	scores, err := givesScores(folder)
	if err != nil {
		return err
	}
	if scores {
		return fmt.Errorf("average: %s is a reward model, whose head an averaged adapter does not hold", run)
	}
	own, err := model.AdapterBase(folder)
	if err != nil {
		return err
	}
	if own != "" && has(own, "config.json") && !basemodel.Same(own, m.base) {
		return fmt.Errorf("average: %s stands on the model %s, not on %s", run, own, m.base)
	}
	a, values, err := model.ReadAdapter(folder, m.config)
	if err != nil {
		return err
	}
	if m.first == nil {
		m.first, m.sum = a, make([]float64, len(values))
	}
	if err := sameLayout(m.first, a); err != nil {
		return fmt.Errorf("average: %s differs from %s: %w", run, m.parts[0].Path, err)
	}
	for i, x := range values {
		m.sum[i] += float64(x)
	}
	m.parts = append(m.parts, AveragedPart{folder, hashFloats(values)})
	return nil
}

// sameLayout holds b to the factors of a, each of the same rank and scale.
func sameLayout(a, b *model.Adapter) error {
	if a.Config.DoRA != b.Config.DoRA {
		return errors.New("one of them is a DoRA, the other is none")
	}
	if len(a.Factors) != len(b.Factors) {
		return fmt.Errorf("it adapts %d layers, not %d", len(b.Factors), len(a.Factors))
	}
	for i, f := range a.Factors {
		if g := b.Factors[i]; f != g {
			return fmt.Errorf("%s has rank %d and scale %v, %s rank %d and scale %v", g.Name(), g.Rank, g.Scale, f.Name(), f.Rank, f.Scale)
		}
	}
	if !slices.Equal(a.Config.Save, b.Config.Save) {
		return fmt.Errorf("it has %v trained whole, not %v", b.Config.Save, a.Config.Save)
	}
	return nil
}

func (m *mean) write(r Averaged) error {
	values := make([]float32, len(m.sum))
	for i, x := range m.sum {
		values[i] = float32(x / float64(len(m.parts)))
	}
	base, err := filepath.Abs(m.base)
	if err != nil {
		return err
	}
	config, err := m.first.PEFTConfig(base)
	if err != nil {
		return err
	}
	note, err := json.Marshal(r, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	made, err := place.MakeAbove(r.Out)
	if err != nil {
		return err
	}
	defer made.Remove()
	d, err := atomicfile.Stage(filepath.Dir(r.Out), filepath.Base(r.Out))
	if err != nil {
		return err
	}
	defer d.Abort()
	err = d.WriteFiles(
		atomicfile.Part{Name: model.AdapterConfigFile, Write: atomicfile.Bytes(append(config, '\n'))},
		atomicfile.Part{Name: model.AdapterWeightsFile, Write: func(w io.Writer) error { return m.first.WriteWeights(w, model.InMemory(values)) }},
		atomicfile.Part{Name: AverageFile, Write: atomicfile.Bytes(append(note, '\n'))})
	if err != nil {
		return err
	}
	return d.Commit()
}
