package checkpoint

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/atomicfile"
)

// Part is one file of a checkpoint. Write writes its content.
type Part struct {
	Name  string // a plain file name, not MANIFEST.json
	Write func(io.Writer) error
}

// Save writes run/checkpoints/step-NNNNNN and returns its path. The folder run
// is made if it is missing; its parent must exist. When Save returns nil the
// checkpoint is on the disk; when it fails, or the machine does, the run's
// older checkpoints are as they were. A checkpoint of the same step is
// replaced, and at every moment one of the two is whole.
func Save(run string, step int, parts []Part) (string, error) {
	return SaveFS(atomicfile.OS{}, run, step, parts)
}

// SaveFS is Save in a given file system.
func SaveFS(fsys atomicfile.FS, run string, step int, parts []Part) (string, error) {
	if err := checkSave(step, parts); err != nil {
		return "", err
	}
	parent := filepath.Join(run, folder)
	for _, dir := range []string{run, parent} {
		if err := makeDir(fsys, dir); err != nil {
			return "", fmt.Errorf("checkpoint: step %d: %w", step, err)
		}
	}
	d, err := atomicfile.StageFS(fsys, parent, stepName(step))
	if err != nil {
		return "", fmt.Errorf("checkpoint: step %d: %w", step, err)
	}
	defer d.Abort()
	if err := writeParts(d, step, parts); err != nil {
		return "", fmt.Errorf("checkpoint: step %d: %w", step, err)
	}
	if err := commit(fsys, d); err != nil {
		return "", fmt.Errorf("checkpoint: step %d: %w", step, err)
	}
	return d.Path(), nil
}

func checkSave(step int, parts []Part) error {
	var errs []error
	if step < 0 || step > maxStep {
		errs = append(errs, fmt.Errorf("checkpoint: step %d is outside 0 to %d", step, maxStep))
	}
	seen := map[string]bool{}
	for _, p := range parts {
		if err := checkName(p.Name); err != nil {
			errs = append(errs, fmt.Errorf("checkpoint: %w", err))
		}
		if seen[p.Name] {
			errs = append(errs, fmt.Errorf("checkpoint: two files are called %q", p.Name))
		}
		seen[p.Name] = true
	}
	return errors.Join(errs...)
}

// makeDir makes dir, durable, unless it is there.
func makeDir(fsys atomicfile.FS, dir string) error {
	err := fsys.Mkdir(dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(dir))
}

// writeParts fills the staged folder, the manifest last.
func writeParts(d *atomicfile.Dir, step int, parts []Part) error {
	m := manifest{Version: formatVersion, Step: step, Files: []FileInfo{}}
	for _, p := range parts {
		info, err := writePart(d, p)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, info)
	}
	slices.SortFunc(m.Files, func(a, b FileInfo) int { return strings.Compare(a.Name, b.Name) })
	raw, err := m.encode()
	if err != nil {
		return err
	}
	return d.WriteFile(manifestName, atomicfile.Bytes(raw))
}

func writePart(d *atomicfile.Dir, p Part) (FileInfo, error) {
	h := sha256.New()
	count := &counter{}
	err := d.WriteFile(p.Name, func(w io.Writer) error {
		return p.Write(io.MultiWriter(w, h, count))
	})
	return FileInfo{Name: p.Name, Size: count.bytes, SHA256: hexSum(h)}, err
}

type counter struct{ bytes int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return len(p), nil
}

// commit puts the staged folder in place. A folder that has the name already
// steps aside under a name that Open still finds, until the new one is durable.
func commit(fsys atomicfile.FS, d *atomicfile.Dir) error {
	err := d.Commit()
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	parent, name := filepath.Split(d.Path())
	aside := filepath.Join(parent, replacedPrefix+name+"."+rand.Text()[:8])
	if err := fsys.Rename(d.Path(), aside); err != nil {
		return err
	}
	if err := fsys.SyncDir(filepath.Clean(parent)); err != nil {
		return errors.Join(err, fsys.Rename(aside, d.Path()))
	}
	if err := d.Commit(); err != nil {
		return errors.Join(err, fsys.Rename(aside, d.Path()))
	}
	// The new one is safe, so a fault here is no fault of Save; Retain clears
	// what stays.
	_ = remove(fsys, aside)
	return nil
}

// remove deletes a checkpoint: out of sight in one step first, so that no crash
// leaves half of one under a name that Open reads.
func remove(fsys atomicfile.FS, path string) error {
	parent, name := filepath.Split(path)
	parent = filepath.Clean(parent)
	trash := filepath.Join(parent, trashPrefix+name+"."+rand.Text()[:8])
	if err := fsys.Rename(path, trash); err != nil {
		return err
	}
	if err := fsys.SyncDir(parent); err != nil {
		return err
	}
	return fsys.RemoveAll(trash)
}
