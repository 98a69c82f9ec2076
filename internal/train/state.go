package train

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"align/internal/checkpoint"
	"align/internal/device"
	"align/internal/safetensors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Files that the loop itself puts into a checkpoint, beside the subject's.
const (
	StateFile     = "state.json"
	OptimizerFile = "optimizer.safetensors"
)

// State is state.json: what a run needs, besides its weights and moments, to go
// on as if it had never stopped.
type State struct {
	Version   int               `json:"version"`
	Method    string            `json:"method"`
	Step      int               `json:"step"`
	Steps     int               `json:"steps"`
	Updates   int               `json:"updates"`
	NumTokens int64             `json:"num_tokens"`
	Epoch     float64           `json:"epoch"`
	Source    jsontext.Value    `json:"source"`
	Lineage   map[string]string `json:"lineage"`
}

// stateVersion is the format of state.json.
const stateVersion = 1

// ReadState reads a checkpoint's state.json.
func ReadState(c *checkpoint.Checkpoint) (State, error) {
	data, err := c.ReadFile(StateFile)
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("train: %s: %w", c.Path, err)
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("train: %s: state version %d: this program reads %d", c.Path, s.Version, stateVersion)
	}
	return s, nil
}

// open resumes where that is asked for, and opens the log.
func (l *loop[B]) open() (err error) {
	l.saved = -1
	if l.options.Resume {
		if err := l.resume(); err != nil {
			return err
		}
	}
	l.log, err = openLog(l.options.Run, l.step)
	return err
}

func (l *loop[B]) resume() error {
	c, err := checkpoint.Open(l.options.Run)
	if errors.Is(err, checkpoint.ErrNone) {
		l.note("nothing to resume: starting at step 1")
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range c.Rejected {
		l.note(fmt.Sprintf("checkpoint %s is not valid: %v", r.Path, r.Err))
	}
	s, err := ReadState(c)
	if err != nil {
		return err
	}
	if err := l.fits(s); err != nil {
		return fmt.Errorf("train: cannot resume %s: %w", c.Path, err)
	}
	l.step, l.numTokens, l.epoch, l.saved, l.path = s.Step, s.NumTokens, s.Epoch, s.Step, c.Path
	l.adam.Updates = s.Updates
	l.note(fmt.Sprintf("resuming after step %d of %d from %s", s.Step, l.options.Steps, c.Path))
	return errors.Join(l.source.Restore(s.Source), l.subject.Restore(c), l.readMoments(c))
}

func (l *loop[B]) note(s string) {
	if l.options.Notes != nil {
		l.options.Notes(s)
	}
}

// fits names everything that differs from the run that was saved.
func (l *loop[B]) fits(s State) error {
	var errs []error
	if s.Method != l.options.Method {
		errs = append(errs, fmt.Errorf("it is a %s run, not %s", s.Method, l.options.Method))
	}
	for _, key := range sortedKeys(s.Lineage) {
		if got, want := l.options.Lineage[key], s.Lineage[key]; got != want {
			errs = append(errs, fmt.Errorf("%s is %s, the run began with %s", key, short(got), short(want)))
		}
	}
	return errors.Join(errs...)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return fmt.Sprintf("%q", hash)
}

// save writes a checkpoint of the step just done and drops the oldest.
func (l *loop[B]) save() error {
	if l.saved == l.step {
		return nil
	}
	parts, err := l.subject.Parts()
	if err != nil {
		return err
	}
	source, err := l.source.State()
	if err != nil {
		return err
	}
	state, err := json.Marshal(State{
		Version: stateVersion, Method: l.options.Method, Step: l.step, Steps: l.options.Steps, Updates: l.adam.Updates,
		NumTokens: l.numTokens, Epoch: l.epoch, Source: source, Lineage: l.options.Lineage,
	}, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	parts = append(parts,
		checkpoint.Part{Name: OptimizerFile, Write: l.writeMoments},
		checkpoint.Part{Name: StateFile, Write: func(w io.Writer) error { _, err := w.Write(append(state, '\n')); return err }})
	if l.path, err = checkpoint.Save(l.options.Run, l.step, parts); err != nil {
		return err
	}
	l.saved = l.step
	l.report.Saved(l.path, l.step)
	return checkpoint.Retain(l.options.Run, l.options.Keep)
}

// moments are the names of AdamW's buffers in optimizer.safetensors, as in
// PyTorch's state, each one flat vector in the subject's order.
var moments = []string{"exp_avg", "exp_avg_sq"}

func (l *loop[B]) momentViews() []device.View {
	f := l.adam.Flat()
	return []device.View{f.M, f.V}
}

func (l *loop[B]) writeMoments(w io.Writer) error {
	var tensors []safetensors.Tensor
	for i, v := range l.momentViews() {
		data := make([]byte, v.Bytes())
		if err := l.backend.Download(data, v); err != nil {
			return err
		}
		t := safetensors.F32
		if v.Type == device.F64 {
			t = safetensors.F64
		}
		tensors = append(tensors, safetensors.FromBytes(moments[i], t, []int{v.Len()}, data))
	}
	return safetensors.Write(w, tensors, map[string]string{"format": "pt"})
}

func (l *loop[B]) readMoments(c *checkpoint.Checkpoint) error {
	f, err := safetensors.Open(filepath.Join(c.Path, OptimizerFile))
	if err != nil {
		return err
	}
	defer f.Close()
	for i, v := range l.momentViews() {
		data := make([]byte, v.Bytes())
		if err := f.ReadInto(moments[i], data); err != nil {
			return err
		}
		if err := l.backend.Upload(v, data); err != nil {
			return err
		}
	}
	return nil
}
