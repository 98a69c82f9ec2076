package align

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"align/internal/atomicfile"
)

// Where a result is put that is asked for by name: every command makes the folders
// above it that are not there, once it has something to put there.

// placeFolder is the path of a new folder, or what keeps it from being written.
func placeFolder(out string) (string, error) {
	if err := checkName(out); err != nil {
		return "", err
	}
	path := filepath.Clean(out)
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("out: %s exists: want a new name", path)
	}
	return path, prefixed("out", checkWritable(filepath.Dir(path)))
}

// checkName refuses names that a shell would have read otherwise, or that stand for
// stdout elsewhere: what is written is checked before it gets its name.
func checkName(out string) error {
	switch first, _, _ := strings.Cut(filepath.ToSlash(out), "/"); {
	case out == "-":
		return errors.New("out: - is no name: results are files and folders, not stdout")
	case strings.HasPrefix(first, "~"):
		return fmt.Errorf("out: %s: only a shell reads ~ as a home folder, and none has here: write it out (or ./%s)", out, out)
	}
	return nil
}

// checkFileName refuses what can only be the name of a folder.
func checkFileName(out string) error {
	if err := checkName(out); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if os.IsPathSeparator(out[len(out)-1]) || err == nil && info.IsDir() {
		return fmt.Errorf("out: %s is the name of a folder: want that of a file", out)
	}
	return nil
}

// makeAbove makes the folders above a path.
func makeAbove(path string) (atomicfile.Folders, error) {
	made, err := atomicfile.MakeFolders(filepath.Dir(path))
	return made, prefixed("out", err)
}

// place settles the path to write. A name of another format's files misleads every
// program that goes by it.
func (x *export) place() (err error) {
	extension := filepath.Ext(x.Out)
	switch gguf := x.Format == FormatGGUF || x.Format == FormatMergedGGUF; {
	case gguf && extension == ".safetensors":
		return fmt.Errorf("out: %s: the format %s is a .gguf file", x.Out, x.Format)
	case !gguf && (extension == ".gguf" || extension == ".safetensors"):
		return fmt.Errorf("out: %s: the format %s is a folder", x.Out, x.Format)
	case gguf:
		if err := checkFileName(x.Out); err != nil {
			return err
		}
	}
	x.Out, err = placeFolder(x.Out)
	return err
}
