package rejection

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"
)

// Keys of [Job.Held] that are of the machine. A job may go on on another device, or with
// other kernels, which is told; on one device it keeps its precision.
const (
	HeldDevice    = "device"
	HeldKernels   = "kernels"
	HeldPrecision = "precision"
)

// CheckHeld holds the job of a folder to what its journal says that it began with, as
// far as both tell: one of an earlier version tells nothing. moved says what is of
// another machine now, "" for nothing.
func CheckHeld(out string, held map[string]string) (moved string, err error) {
	began, err := readHeld(filepath.Join(out, journalFile))
	if err != nil {
		return "", fmt.Errorf("rejection: %w", err)
	}
	other := differing(began, held)
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(held)) {
		switch {
		case !other(key) || key == HeldDevice || key == HeldKernels || key == HeldPrecision && other(HeldDevice):
		case key == HeldPrecision:
			errs = append(errs, fmt.Errorf("precision is %s, the job began with %s: --precision %s goes on with it", held[key], began[key], began[key]))
		default:
			errs = append(errs, fmt.Errorf("%s is %q, the job began with %q", key, held[key], began[key]))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("resume: %s: %w", out, err)
	}
	if !other(HeldDevice) && !other(HeldKernels) {
		return "", nil
	}
	by := "in the last bits"
	if other(HeldPrecision) {
		by = "by rounding to bf16"
	}
	return fmt.Sprintf("the job began on %s with %s kernels: on %s with %s kernels its numbers may differ %s",
		began[HeldDevice], began[HeldKernels], held[HeldDevice], held[HeldKernels], by), nil
}

// differing says of a key whether two jobs, or parts of one, both tell it and not the same.
func differing(a, b map[string]string) func(key string) bool {
	return func(key string) bool {
		x, told := a[key]
		y, tells := b[key]
		return told && tells && x != y
	}
}

// sameHeld holds a part of a job to the first one, as a job that goes on is held to
// what it began with.
func sameHeld(first, part map[string]string) error {
	other := differing(first, part)
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(part)) {
		if !other(key) || key == HeldDevice || key == HeldKernels || key == HeldPrecision && other(HeldDevice) {
			continue
		}
		errs = append(errs, fmt.Errorf("%s is %s, that of the first part %s", key, part[key], first[key]))
	}
	return errors.Join(errs...)
}

// readHeld is what the first line of a journal tells; nothing where there is none.
func readHeld(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, _ := bufio.NewReader(f).ReadBytes('\n')
	var first entry
	if json.Unmarshal(line, &first) != nil {
		return nil, nil // a line that a crash cut off: the job begins anew
	}
	return first.Held, nil
}
