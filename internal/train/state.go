package train

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"align/internal/atomicfile"
	"align/internal/checkpoint"
	"align/internal/jsonfile"
	"align/internal/optim"

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
	Version   int            `json:"version"`
	Method    string         `json:"method"`
	Device    string         `json:"device"` // backend and processor, as "cpu/amd64"
	Step      int            `json:"step"`
	Steps     int            `json:"steps"`
	Schedule  optim.Schedule `json:"schedule"`
	AdamW     optim.Config   `json:"adamw"`
	Updates   int            `json:"updates"`
	NumTokens int64          `json:"num_tokens"`
	Epoch     float64        `json:"epoch"`
	Source    jsontext.Value `json:"source"`
	Best      *Best          `json:"best,omitempty"`
	// EvaluationDue: the run was asked to end while it evaluated this step, and
	// begins by that when it goes on.
	EvaluationDue bool              `json:"evaluation_due,omitempty"`
	Lineage       map[string]string `json:"lineage"`
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
	if err := jsonfile.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("train: %s: %s: %w", c.Path, StateFile, err)
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("train: %s: state version %d: this program reads %d", c.Path, s.Version, stateVersion)
	}
	return s, nil
}

// open resumes where that is asked for, and opens the log.
func (l *loop[B]) open(ctx context.Context) (err error) {
	l.saved = -1
	c, err := newest(ctx, l.options.Run)
	switch {
	case !l.options.Resume && c != nil:
		return fmt.Errorf("train: %s has a checkpoint of step %d: resume it or take another folder", l.options.Run, c.Step)
	case l.options.Resume && err != nil:
		return err
	case l.options.Resume:
		if err := l.resume(ctx, c); err != nil {
			return err
		}
	}
	l.log, err = openLog(l.options.Run, l.step, l.due, l.report.recall)
	return err
}

// newest is the newest valid checkpoint of a run; nil where it has none yet.
// Where all that it has are damaged the error says so: starting over would not
// be what was asked.
func newest(ctx context.Context, run string) (*checkpoint.Checkpoint, error) {
	entries, err := os.ReadDir(filepath.Join(run, "checkpoints"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // ended before its first save
	}
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	c, err := checkpoint.OpenUntil(ctx, run)
	named := func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), ".") }
	if errors.Is(err, checkpoint.ErrNone) && !slices.ContainsFunc(entries, named) {
		return nil, nil // ended in its first save
	}
	return c, err
}

// resume goes to where c was saved; a nil c is the start.
func (l *loop[B]) resume(ctx context.Context, c *checkpoint.Checkpoint) error {
	if c == nil {
		l.note("nothing to resume: starting at step 1")
		return nil
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
	l.step, l.numTokens, l.epoch, l.saved, l.path, l.best = s.Step, s.NumTokens, s.Epoch, s.Step, c.Path, s.Best
	if err := checkpoint.Sweep(l.options.Run); err != nil {
		l.note(err.Error()) // it is in nobody's way
	}
	l.adam.Updates, l.due = s.Updates, s.EvaluationDue
	l.note(fmt.Sprintf("resuming after step %d of %d from %s", s.Step, l.options.Steps, c.Path))
	l.noteChanges(s)
	if err := errors.Join(l.source.Restore(s.Source), l.subject.Restore(ctx, c)); err != nil {
		return err
	}
	return l.adam.ReadMoments(ctx, filepath.Join(c.Path, OptimizerFile))
}

// noteChanges tells what keeps a resumed run from being the uninterrupted one
// without being wrong: more steps, another learning rate, another device.
func (l *loop[B]) noteChanges(s State) {
	if got := l.options.Schedule; got != s.Schedule {
		l.note(fmt.Sprintf("the schedule is %s, the run began with %s", got, s.Schedule))
	}
	if got := l.options.AdamW; got != s.AdamW {
		l.note(fmt.Sprintf("AdamW's constants are %+v, the run began with %+v", got, s.AdamW))
	}
	if got := l.device(); got != s.Device {
		l.note(fmt.Sprintf("the run began on %s: on %s its numbers may differ %s", s.Device, got, l.difference(s)))
	} else if got, want := l.options.Lineage[Kernels], s.Lineage[Kernels]; want != "" && got != want {
		l.note(fmt.Sprintf("the run began with %s kernels: with %s kernels its numbers may differ %s", want, got, l.difference(s)))
	}
	if got, want := l.options.Lineage[Draws], s.Lineage[Draws]; got != want {
		l.note(fmt.Sprintf("the run began with another dropout (draws are %s, they were %s): its next steps drop other elements than without the interruption",
			got, cmp.Or(want, oldDraws)))
	}
}

// Activations is the key of the lineage with the type of activations, which
// belongs to a device: a run may go on with another one.
const Activations = "activations"

// Kernels is the key of the lineage that names the kernels and the precision of products,
// which are the machine's and the setting's: a run may go on with others.
const Kernels = "kernels"

// Draws is the key of the lineage that names how dropout draws, where it acts: a run
// may go on under a later program's draws. oldDraws had no name.
const (
	Draws    = "draws"
	oldDraws = "philox4x32-10, 32 bits an element"
)

// StepsSetting is the key of the lineage with the setting steps: a run may be made
// longer, by steps as by epochs.
const StepsSetting = "setting steps"

// difference says by how much the numbers of another device or other kernels may differ.
func (l *loop[B]) difference(s State) string {
	if got, want := l.options.Lineage[Activations], s.Lineage[Activations]; got != want {
		return fmt.Sprintf("by rounding to bf16 (activations are %s, they were %s)", got, want)
	}
	got, want := l.options.Lineage[Kernels], s.Lineage[Kernels]
	if want != "" && strings.Contains(got, "bf16") != strings.Contains(want, "bf16") {
		return "by rounding to bf16"
	}
	return "in the last bits"
}

func (l *loop[B]) device() string { return l.backend.Name() + "/" + runtime.GOARCH }

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
	if s.Step > l.options.Steps {
		errs = append(errs, fmt.Errorf("it has done %d steps, and %d are asked for: name as many or more", s.Step, l.options.Steps))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Lineage)) {
		if key == Activations || key == Kernels || key == Draws || key == StepsSetting {
			continue
		}
		if got, want := l.options.Lineage[key], s.Lineage[key]; got != want {
			errs = append(errs, fmt.Errorf("%s is %s, the run began with %s", key, short(got), short(want)))
		}
	}
	return errors.Join(errs...)
}

// short is the beginning of a hash, and any other value as it is.
func short(value string) string {
	if _, err := hex.DecodeString(value); err == nil && len(value) == hex.EncodedLen(sha256.Size) {
		return value[:12]
	}
	return fmt.Sprintf("%q", value)
}

// save writes a checkpoint of the step just done and drops the oldest. Nothing
// that is not finite gets into one.
func (l *loop[B]) save() error {
	if l.saved == l.step {
		return nil
	}
	if err := atStep(l.step, l.adam.Check()); err != nil {
		return err
	}
	parts, err := l.parts()
	if err != nil {
		return err
	}
	if err := l.log.sync(); err != nil {
		return err
	}
	if l.path, err = checkpoint.Save(l.options.Run, l.step, parts); err != nil {
		return err
	}
	l.saved = l.step
	l.report.Saved(l.path, l.step)
	if err := checkpoint.Retain(l.options.Run, l.options.Keep, l.protected()...); err != nil {
		// The new checkpoint is safe; old ones that stay are no reason to stop.
		l.note(err.Error())
	}
	return nil
}

// parts are the subject's files and the loop's own.
func (l *loop[B]) parts() ([]checkpoint.Part, error) {
	parts, err := l.subject.Parts()
	if err != nil {
		return nil, err
	}
	source, err := l.source.State()
	if err != nil {
		return nil, err
	}
	state, err := json.Marshal(State{
		Version: stateVersion, Method: l.options.Method, Device: l.device(), Step: l.step, Steps: l.options.Steps,
		Schedule: l.options.Schedule, AdamW: l.options.AdamW, Updates: l.adam.Updates,
		NumTokens: l.numTokens, Epoch: l.epoch, Source: source, Best: l.best, EvaluationDue: l.due && l.step > 0, Lineage: l.options.Lineage,
	}, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("train: %s: %w", StateFile, err)
	}
	return append(parts,
		checkpoint.Part{Name: OptimizerFile, Write: l.adam.WriteMoments},
		checkpoint.Part{Name: StateFile, Write: atomicfile.Bytes(append(state, '\n'))}), nil
}
