package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// ErrNone is returned when a run has no valid checkpoint.
var ErrNone = errors.New("no valid checkpoint")

// Checkpoint is a folder whose files matched their hashes when it was opened.
type Checkpoint struct {
	Path     string
	Step     int
	Rejected []Rejected // newer ones of the run that were passed over

	files []FileInfo
}

// Rejected is a folder that looks like a checkpoint and is not a valid one.
type Rejected struct {
	Path string
	Err  error // every fault that was found
}

// Open opens a checkpoint. path is a run's folder, of which the newest valid
// checkpoint is taken (ErrNone if there is none), or the folder of one
// checkpoint, which must be valid. All hashes are verified.
func Open(path string) (*Checkpoint, error) { return OpenUntil(context.Background(), path) }

// OpenUntil is Open that ends with ctx: hashing the moments of all weights of a
// model takes minutes.
func OpenUntil(ctx context.Context, path string) (*Checkpoint, error) {
	info, err := os.Stat(filepath.Join(path, folder))
	switch {
	case err == nil && info.IsDir():
		return openRun(ctx, path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return openFolder(ctx, path)
}

func openFolder(ctx context.Context, path string) (*Checkpoint, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	m, err := verify(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	return &Checkpoint{Path: path, Step: m.Step, files: m.Files}, nil
}

func openRun(ctx context.Context, run string) (*Checkpoint, error) {
	found, err := candidates(run)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var rejected []Rejected
	for _, c := range found {
		m, err := verify(ctx, c.path)
		if err == nil {
			return &Checkpoint{Path: c.path, Step: m.Step, Rejected: rejected, files: m.Files}, nil
		}
		if ended := ctx.Err(); ended != nil {
			return nil, fmt.Errorf("checkpoint: %s: %w", c.path, ended)
		}
		rejected = append(rejected, Rejected{Path: c.path, Err: err})
	}
	errs := []error{fmt.Errorf("checkpoint: %s: %w", run, ErrNone)}
	for _, r := range rejected {
		errs = append(errs, fmt.Errorf("checkpoint: %s: %w", r.Path, r.Err))
	}
	return nil, errors.Join(errs...)
}

// Files lists the checkpoint's files by name, without the manifest.
func (c *Checkpoint) Files() []FileInfo { return slices.Clone(c.files) }

// Has reports whether the checkpoint has a file called name.
func (c *Checkpoint) Has(name string) bool {
	_, err := c.find(name)
	return err == nil
}

// find returns the entry of name; the error is fs.ErrNotExist.
func (c *Checkpoint) find(name string) (FileInfo, error) {
	i := slices.IndexFunc(c.files, func(f FileInfo) bool { return f.Name == name })
	if i < 0 {
		return FileInfo{}, fmt.Errorf("checkpoint: %s has no file %q: %w", c.Path, name, fs.ErrNotExist)
	}
	return c.files[i], nil
}

// ReadFile returns the content of a file, compared with its hash once more.
func (c *Checkpoint) ReadFile(name string) ([]byte, error) {
	info, err := c.find(name)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(c.Path, name))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if sum(raw) != info.SHA256 {
		return nil, fmt.Errorf("checkpoint: %s: %q has changed since it was verified", c.Path, name)
	}
	return raw, nil
}

// Open opens a file of the checkpoint for reading.
func (c *Checkpoint) Open(name string) (*os.File, error) {
	if _, err := c.find(name); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(c.Path, name))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return f, nil
}
