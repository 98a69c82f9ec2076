// Package place is where a result is put that is asked for by name: whether the
// name can be one, whether something can be written there, and the folders above
// it, which every command makes once it has something to put there.
package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"align/internal/atomicfile"
)

// Folder is the path of a new folder, or what keeps it from being written.
func Folder(out string) (string, error) {
	if err := CheckName(out); err != nil {
		return "", err
	}
	path := filepath.Clean(out)
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("out: %s exists: want a new name", path)
	}
	if err := CheckWritable(filepath.Dir(path)); err != nil {
		return path, fmt.Errorf("out: %w", err)
	}
	return path, nil
}

// CheckName refuses names that a shell would have read otherwise, or that stand for
// stdout elsewhere: what is written is checked before it gets its name.
func CheckName(out string) error {
	switch first, _, _ := strings.Cut(filepath.ToSlash(out), "/"); {
	case out == "-":
		return errors.New("out: - is no name: results are files and folders, not stdout")
	case strings.HasPrefix(first, "~"):
		return fmt.Errorf("out: %s: only a shell reads ~ as a home folder, and none has here: write it out (or ./%s)", out, out)
	}
	return nil
}

// CheckFileName refuses what can only be the name of a folder.
func CheckFileName(out string) error {
	if err := CheckName(out); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if os.IsPathSeparator(out[len(out)-1]) || err == nil && info.IsDir() {
		return fmt.Errorf("out: %s is the name of a folder: want that of a file", out)
	}
	return nil
}

// MakeAbove makes the folders above a path.
func MakeAbove(path string) (atomicfile.Folders, error) {
	made, err := atomicfile.MakeFolders(filepath.Dir(path))
	if err != nil {
		err = fmt.Errorf("out: %w", err)
	}
	return made, err
}

// CheckWritable tries the folder, or the nearest one above that is there. A file is
// made and removed: permissions alone do not tell. Other errors are left to the
// making of the folder.
func CheckWritable(out string) error {
	dir := out
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is a file", dir)
		}
		if err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if target, err := os.Readlink(out); err == nil && dir != out {
		return fmt.Errorf("%s is a link to %s, which is no folder", out, target)
	}
	file, err := os.CreateTemp(dir, ".align-*")
	if path := new(fs.PathError); errors.As(err, &path) {
		return fmt.Errorf("%s cannot be written in: %w", dir, path.Err) // not the trial file's name
	}
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}
