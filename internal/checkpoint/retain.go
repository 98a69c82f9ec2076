package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"align/internal/atomicfile"
)

// Retain keeps the newest keep checkpoints of a run and those of the steps in
// protect, and removes the others. The newest one whose hashes verify is never
// removed, a folder that is no valid checkpoint or holds a foreign file is left
// alone, and neither counts against keep. What an interrupted Save or Retain
// left is removed; no other process may be saving into the run.
func Retain(run string, keep int, protect ...int) error {
	return RetainFS(atomicfile.OS{}, run, keep, protect...)
}

// RetainFS is Retain with removals in a given file system; it reads the real one.
func RetainFS(fsys atomicfile.FS, run string, keep int, protect ...int) error {
	if keep < 1 {
		return fmt.Errorf("checkpoint: keep must be at least 1, got %d", keep)
	}
	surplus, err := surplus(run, keep, protect)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	left, err := leftovers(run)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	var errs []error
	for _, path := range surplus {
		errs = append(errs, remove(fsys, path))
	}
	for _, path := range left {
		errs = append(errs, fsys.RemoveAll(path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("checkpoint: retain: %w", err)
	}
	return nil
}

// Sweep removes what an interrupted Save or Retain of a run left, as one that goes on
// without a further save would leave it. No other process may be saving into the run.
func Sweep(run string) error {
	left, err := leftovers(run)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	var errs []error
	for _, path := range left {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// surplus lists the checkpoints that may go. Before one has verified in full
// nothing is surplus; after it, the manifest and the sizes decide, because
// hashing everything after each save would cost more than saving.
func surplus(run string, keep int, protect []int) ([]string, error) {
	found, err := candidates(run)
	if err != nil {
		return nil, err
	}
	var paths []string
	kept, last := 0, -1
	for _, c := range found {
		check := readManifest
		if kept == 0 {
			check = func(dir string) (manifest, error) { return verify(context.Background(), dir) }
		}
		if _, err := check(c.path); err != nil {
			continue
		}
		switch {
		case c.replaced && c.step == last:
			paths = append(paths, c.path)
		case kept < keep || slices.Contains(protect, c.step):
			kept++
		default:
			paths = append(paths, c.path)
		}
		last = c.step
	}
	return paths, nil
}
