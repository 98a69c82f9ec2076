package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"align/internal/atomicfile"
)

// The names of the format. A hidden prefix marks a folder on its way out.
const (
	folder         = "checkpoints"
	stepPrefix     = "step-"
	replacedPrefix = ".replaced-" // the old checkpoint while a new one takes its step
	trashPrefix    = ".trash-"    // being removed; may lack files
)

// maxStep keeps the number within the nine digits that a name is read with.
const maxStep = 999_999_999

// stepName is the folder name of a step.
func stepName(step int) string { return fmt.Sprintf("%s%06d", stepPrefix, step) }

// parseStep reads a name that stepName made.
func parseStep(name string) (step int, ok bool) {
	digits, ok := strings.CutPrefix(name, stepPrefix)
	if !ok || len(digits) > 9 {
		return 0, false
	}
	step, err := strconv.Atoi(digits)
	return step, err == nil && stepName(step) == name
}

// candidate is a folder that may be a checkpoint.
type candidate struct {
	path     string
	step     int
	replaced bool
}

// candidates lists those of a run, newest step first; a replaced one comes
// after the one that took its place.
func candidates(run string) ([]candidate, error) {
	dir := filepath.Join(run, folder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, e := range entries {
		c, ok := parseCandidate(e.Name())
		if ok && e.IsDir() {
			c.path = filepath.Join(dir, e.Name())
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if a.step != b.step {
			return b.step - a.step
		}
		return strings.Compare(b.path, a.path) // "step-" sorts after ".replaced-"
	})
	return found, nil
}

func parseCandidate(name string) (candidate, bool) {
	rest, replaced := strings.CutPrefix(name, replacedPrefix)
	if replaced {
		rest, _, _ = strings.Cut(rest, ".")
	}
	step, ok := parseStep(rest)
	return candidate{step: step, replaced: replaced}, ok
}

// leftovers lists what an interrupted Save or Retain left: staged folders and
// trash, never a whole checkpoint.
func leftovers(run string) ([]string, error) {
	dir := filepath.Join(run, folder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if e.IsDir() && isLeftover(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

func isLeftover(name string) bool {
	if rest, ok := strings.CutPrefix(name, trashPrefix); ok {
		_, ok := parseCandidate(strings.TrimSuffix(rest, filepath.Ext(rest)))
		return ok
	}
	staged, _, _ := strings.Cut(strings.TrimPrefix(name, "."), ".")
	_, ok := parseStep(staged)
	return ok && atomicfile.IsTemp(name, staged)
}
