package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// Dir is a folder in the making. It stands under a temporary name until Commit.
type Dir struct {
	fsys   FS
	parent string
	name   string
	temp   string
	open   []*syncedWriter
	done   bool
}

// Stage begins the folder parent/name. parent must exist. The caller ends it
// with Commit or Abort; Abort after Commit does nothing, so it can be deferred.
func Stage(parent, name string) (*Dir, error) { return StageFS(OS{}, parent, name) }

// StageFS is Stage in a given file system.
func StageFS(fsys FS, parent, name string) (*Dir, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	temp := tempName(filepath.Join(parent, name))
	enter(fsys, temp)
	if err := unlessOver(fsys, func() error { return fsys.Mkdir(temp) }); err != nil {
		leave(temp)
		return nil, fmt.Errorf("atomicfile: stage %s: %w", filepath.Join(parent, name), err)
	}
	return &Dir{fsys: fsys, parent: parent, name: name, temp: temp}, nil
}

// Path is the final path of the folder.
func (d *Dir) Path() string { return filepath.Join(d.parent, d.name) }

// Staged is the path where the folder stands until Commit.
func (d *Dir) Staged() string { return d.temp }

// Create opens a new file of the folder. Close makes its content durable, and
// must be called before Commit. name has no folder in it.
func (d *Dir) Create(name string) (io.WriteCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	w, err := create(d.fsys, filepath.Join(d.temp, name), filepath.Join(d.Path(), name))
	if err != nil {
		return nil, err
	}
	d.open = append(d.open, w)
	return w, nil
}

// WriteFile adds a file of the folder with what write wrote.
func (d *Dir) WriteFile(name string, write func(io.Writer) error) error {
	w, err := d.Create(name)
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		return err
	}
	return w.Close()
}

// Part is a file of a folder: its name, and what writes it.
type Part struct {
	Name  string
	Write func(io.Writer) error
}

// WriteFiles adds files in order. The first that fails is the last: what fills a disk
// is told once.
func (d *Dir) WriteFiles(parts ...Part) error {
	for _, p := range parts {
		if err := d.WriteFile(p.Name, p.Write); err != nil {
			return err
		}
	}
	return nil
}

// Commit puts the folder under its final name, durable. The name must be free:
// a folder with files in it is not replaced (errors.Is fs.ErrExist), and the
// Dir can then be committed again. Every file must have been closed.
func (d *Dir) Commit() error {
	if d.done {
		return fmt.Errorf("atomicfile: %s is committed or aborted already", d.Path())
	}
	if err := d.checkClosed(); err != nil {
		return err
	}
	if err := d.fsys.SyncDir(d.temp); err != nil {
		return fmt.Errorf("atomicfile: sync folder %s: %w", d.Path(), err)
	}
	err := d.fsys.Rename(d.temp, d.Path())
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("atomicfile: %s is there by now, from elsewhere: %w", d.Path(), fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("atomicfile: put %s in place: %w", d.Path(), err)
	}
	d.done = true
	leave(d.temp)
	if err := d.fsys.SyncDir(d.parent); err != nil {
		return fmt.Errorf("atomicfile: sync folder %s: %w", d.parent, err)
	}
	return nil
}

// checkClosed returns the errors of the files, one for each that was not closed.
func (d *Dir) checkClosed() error {
	var errs []error
	for _, w := range d.open {
		if !w.closed {
			errs = append(errs, fmt.Errorf("atomicfile: %s was not closed before its folder was committed", w.label))
		} else if w.err != nil {
			errs = append(errs, w.err)
		}
	}
	return errors.Join(errs...)
}

// Abort removes what was staged. After Commit it does nothing.
func (d *Dir) Abort() error {
	if d.done {
		return nil
	}
	d.done = true
	defer leave(d.temp)
	for _, w := range d.open {
		if !w.closed {
			w.closed = true
			w.file.Close()
		}
	}
	return d.fsys.RemoveAll(d.temp)
}

// checkName refuses what is not the name of one entry of a folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || !filepath.IsLocal(name) || filepath.Base(name) != name {
		return fmt.Errorf("atomicfile: %q is not a plain file name", name)
	}
	return nil
}
