package runfolder

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"align/internal/checkpoint"
	"align/internal/train"
)

// Which checkpoint of a run is taken, beside the number of a step.
const (
	CheckpointLast = "last"
	CheckpointBest = "best"
)

// ChooseCheckpoint is the folder of a run's checkpoint: the last, the best by
// evaluation, or that of a step. "" takes the last, or the best where the run
// was ended early by its evaluations. reason says which it is where the best is
// another than the last; "" where there is nothing to tell. A path that is no
// run is itself.
func ChooseCheckpoint(path, which string) (folder, reason string, err error) {
	if !has(path, "checkpoints") {
		if which != "" {
			return "", "", fmt.Errorf("checkpoint: %s is no run: only a run has checkpoints to choose from", path)
		}
		return path, "", nil
	}
	s, passed, err := lastState(path)
	if err != nil && which == "" {
		return path, "", nil // who reads the run tells what is wrong with it
	}
	if err != nil {
		return "", "", err
	}
	step, reason, err := chooseStep(path, which, s)
	if err != nil || step == s.Step {
		if reason != "" {
			passed = append(passed, reason)
		}
		return path, strings.Join(passed, "; "), err
	}
	folder = filepath.Join(path, "checkpoints", fmt.Sprintf("step-%06d", step))
	if _, err := checkpoint.Open(folder); err != nil {
		return "", "", fmt.Errorf("checkpoint: %s has none of step %d that is valid: %w", path, step, err)
	}
	return folder, reason, nil
}

// lastState is the state of the newest valid checkpoint; passed tells of newer
// ones that are not.
func lastState(run string) (s train.State, passed []string, err error) {
	last, err := checkpoint.Open(run)
	if err != nil {
		return train.State{}, nil, fmt.Errorf("checkpoint: %w", err)
	}
	for _, r := range last.Rejected {
		passed = append(passed, fmt.Sprintf("checkpoint %s is not valid: %v", r.Path, r.Err))
	}
	s, err = train.ReadState(last)
	return s, passed, err
}

// chooseStep is the step that is asked for, of a run whose last is s.
func chooseStep(run, which string, s train.State) (step int, reason string, err error) {
	best := ""
	if s.Best != nil {
		best = fmt.Sprintf("the best by %s (%.4g)", s.Best.Metric, s.Best.Value)
	}
	switch {
	case which == "" && s.Best != nil && s.Best.Step != s.Step && EndedEarly(run, s):
		return s.Best.Step, fmt.Sprintf("checkpoint: step %d, %s, for the run ended early at step %d; --checkpoint last takes that", s.Best.Step, best, s.Step), nil
	case which == "" && s.Best != nil && s.Best.Step != s.Step:
		return s.Step, fmt.Sprintf("checkpoint: step %d, the last; --checkpoint best takes step %d, %s", s.Step, s.Best.Step, best), nil
	case which == "" || which == CheckpointLast:
		return s.Step, "", nil
	case which == CheckpointBest && s.Best == nil:
		return 0, "", fmt.Errorf("checkpoint: %s has no best one: no evaluation was made after a step", run)
	case which == CheckpointBest:
		return s.Best.Step, fmt.Sprintf("checkpoint: step %d, %s", s.Best.Step, best), nil
	}
	if step, err = strconv.Atoi(which); err != nil || step < 1 {
		return 0, "", fmt.Errorf("checkpoint: %q is none: want last, best or the number of a step", which)
	}
	return step, "", nil
}

// EndedEarly says whether a run of that last state is done before its steps were.
func EndedEarly(run string, s train.State) bool {
	v, ok, err := train.ReadVerdict(run)
	return err == nil && ok && v.Step == s.Step && s.Step < s.Steps
}

// MakeRoom removes, before the first checkpoint of a run that goes on and not after
// it, those that keep has no place for: it may have been made smaller for this.
func MakeRoom(run string, keep int) error {
	newest, err := checkpoint.Open(run)
	if err != nil {
		return nil // the loop tells
	}
	state, err := train.ReadState(newest)
	if err != nil {
		return err
	}
	var protect []int
	if state.Best != nil {
		protect = []int{state.Best.Step}
	}
	return checkpoint.Retain(run, keep, protect...)
}
