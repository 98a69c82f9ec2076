package checkpoint

import (
	"fmt"
	"path/filepath"
)

// Peek is a file of a run's newest checkpoint, before [Open] reads the whole of
// it: the folder's names and sizes and this file's hash match. The error is
// ErrNone where no checkpoint has such a file.
func Peek(run, name string) ([]byte, error) {
	found, err := candidates(run)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	for _, c := range found {
		m, err := readManifest(c.path)
		if err != nil {
			continue
		}
		whole := &Checkpoint{Path: c.path, Step: m.Step, files: m.Files}
		if info, err := whole.find(name); err != nil || info.Size > maxManifest {
			continue
		}
		if raw, err := whole.ReadFile(name); err == nil {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("checkpoint: %s: %q: %w", filepath.Join(run, folder), name, ErrNone)
}
