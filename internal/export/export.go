package export

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/basemodel"
	"align/internal/checkpoint"
	"align/internal/place"
	"align/internal/runfolder"
	"align/internal/train"
	"align/internal/work"
	"align/model"
)

// Write writes an adapter, or the model that it makes of its base, for other
// programs, then reads what it wrote back and compares logits.
func Write(o Options, env work.Environment) (Result, error) {
	x := &export{Options: o, env: env}
	if err := x.open(); err != nil {
		return Result{}, err
	}
	b, act, err := o.Compute.Open(env.Note, env.Threads)
	if err != nil {
		return Result{}, err
	}
	defer b.Close()
	if err := x.read(); err != nil {
		return Result{}, err
	}
	held := x.held
	held.Progress = env.Doing("loading the model")
	if x.model, err = basemodel.Load(x.base, held, b, act, env.Tell); err != nil {
		return Result{}, err
	}
	made, err := place.MakeAbove(x.Out)
	if err != nil {
		return Result{}, err
	}
	defer made.Remove()
	if x.Format == FormatHF {
		return x.writeFull()
	}
	if x.merges() {
		return x.merge()
	}
	if err := x.writeAdapter(); err != nil {
		return Result{}, err
	}
	return x.verifyAdapter()
}

// read reads the adapter, which shows before the model is read what does not fit it
// or no GGUF adapter can hold.
func (x *export) read() error {
	if x.full {
		return nil
	}
	c, err := model.ReadConfig(x.base)
	if err != nil {
		return err
	}
	if x.carriesHead() {
		x.adapter, x.values, err = model.ReadScored(x.folder, model.ScoreHead, c)
		return err
	}
	if x.adapter, x.values, err = model.ReadAdapter(x.folder, c); err != nil || x.Format != FormatGGUF {
		return err
	}
	return x.adapter.CheckGGUF(c)
}

// export is a Write on its way.
type export struct {
	Options
	env work.Environment
	// folder holds the adapter, base is the path of its base model.
	folder, base string
	// run is what the checkpoint tells of the run; empty for a bare adapter.
	run train.State
	// full: the folder holds all weights, and is its own base.
	full bool
	// scores: the adapter is a reward model, with a score head.
	scores bool
	// held is how the run held its base.
	held model.LoadOptions

	model   *model.Model
	adapter *model.Adapter
	values  []float32
}

func (x *export) merges() bool { return x.Format == FormatMergedHF || x.Format == FormatMergedGGUF }

// open checks what can be checked before a weight is read.
func (x *export) open() (err error) {
	if err := x.Validate(); err != nil {
		return err
	}
	if err := x.place(); err != nil {
		return err
	}
	if x.folder, err = runfolder.Trained(x.Adapter); err != nil {
		return err
	}
	if x.full = runfolder.IsFull(x.folder); x.full && !x.merges() && x.Format != FormatHF {
		return fmt.Errorf("format: %s trained all weights and has no adapter: want %s, %s or %s", x.Adapter, FormatHF, FormatMergedHF, FormatMergedGGUF)
	}
	if !x.full && x.Format == FormatHF {
		return fmt.Errorf("format: %s is an adapter, and %s is for runs that trained all weights: want %s", x.Adapter, FormatHF, FormatMergedHF)
	}
	if x.full && x.Model != "" {
		return fmt.Errorf("model: %s trained all weights and is its own base: leave it out", x.Adapter)
	}
	if x.base = x.folder; !x.full {
		if x.base, err = basemodel.Of(x.folder, x.Model); err != nil {
			return err
		}
	}
	if x.run, err = stateOf(x.folder); err != nil {
		return err
	}
	if x.merges() {
		x.held = basemodel.HeldBy(x.run)
	}
	return x.openHead()
}

// place settles the path to write. A name of another format's files misleads every
// program that goes by it.
func (x *export) place() (err error) {
	extension := filepath.Ext(x.Out)
	switch gguf := x.Format == FormatGGUF || x.Format == FormatMergedGGUF; {
	case gguf && extension == ".safetensors":
		return fmt.Errorf("out: %s: the format %s is a .gguf file", x.Out, x.Format)
	case !gguf && (extension == ".gguf" || extension == ".safetensors"):
		return fmt.Errorf("out: %s: the format %s is a folder", x.Out, x.Format)
	case gguf:
		if err := place.CheckFileName(x.Out); err != nil {
			return err
		}
	}
	x.Out, err = place.Folder(x.Out)
	return err
}

// stateOf is the state of a checkpoint; empty for a folder that is none.
func stateOf(folder string) (train.State, error) {
	if !isThere(filepath.Join(folder, "MANIFEST.json")) {
		return train.State{}, nil
	}
	c, err := checkpoint.Open(folder)
	if err != nil {
		return train.State{}, err
	}
	return train.ReadState(c)
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (x *export) writeAdapter() error {
	if x.Format == FormatGGUF {
		x.env.Tell("Ollama runs merged models only: for it export --format " + FormatMergedGGUF)
		if _, err := x.beside(basemodel.CardFile); err != nil {
			return err
		}
		err := atomicfile.WriteFile(x.Out, func(w io.Writer) error {
			return x.adapter.WriteAdapterGGUF(w, x.model.Config, x.names(), model.InMemory(x.values))
		})
		if err != nil {
			return err
		}
		return x.writeCard()
	}
	configure, write := x.adapter.PEFTConfig, x.adapter.WriteWeights
	if x.carriesHead() {
		configure, write = x.adapter.PEFTScorerConfig, x.adapter.WriteScorerWeights
	}
	conf, err := configure(x.base)
	if err != nil {
		return err
	}
	d, err := atomicfile.Stage(filepath.Dir(x.Out), filepath.Base(x.Out))
	if err != nil {
		return err
	}
	defer d.Abort()
	err = d.WriteFiles(
		atomicfile.Part{Name: model.AdapterConfigFile, Write: atomicfile.Bytes(conf)},
		atomicfile.Part{Name: model.AdapterWeightsFile, Write: func(w io.Writer) error { return write(w, model.InMemory(x.values)) }},
		atomicfile.Part{Name: basemodel.CardFile, Write: atomicfile.Bytes(x.card())})
	if err != nil {
		return err
	}
	return d.Commit()
}

// name is that of the run or adapter that is exported.
func (x *export) name() string { return filepath.Base(filepath.Clean(x.Adapter)) }

// exactTolerance is of logits, relative to the largest: numbers that are copied
// differ by the order of rounding only.
const exactTolerance = 1e-4

// verifyAdapter reads the adapter back and compares the logits of some tokens,
// or their scores.
func (x *export) verifyAdapter() (Result, error) {
	read, compare := model.ReadAdapter, model.CompareAdapters
	switch {
	case x.Format == FormatGGUF:
		read = model.ReadAdapterGGUF
	case x.carriesHead():
		read, compare = readScorer, model.CompareScores
	}
	back, values, err := read(x.Out, x.model.Config)
	if err != nil {
		return Result{}, fmt.Errorf("reading the export back: %w", err)
	}
	if err := errors.Join(x.model.AllocAdapter(x.adapter, x.values), x.model.AllocAdapter(back, values)); err != nil {
		return Result{}, err
	}
	v, err := compare(x.model, back, x.adapter)
	e := Result{Path: x.Out, Parameters: x.adapter.Parameters() + x.adapter.Head.Len, Scores: x.carriesHead(), Checked: v}
	if x.Format == FormatGGUF {
		e.Card = x.besidePath(basemodel.CardFile)
	}
	if err == nil && !(v.Difference <= exactTolerance*v.Scale) {
		err = fmt.Errorf("the export does not give the adapter's %s: they differ by %v of %v", e.numbers(), v.Difference, v.Scale)
	}
	return e, err
}
