package align

import (
	"fmt"
	"os"
	"path/filepath"

	"align/internal/atomicfile"
)

// Where a result is put that is asked for by name: every command makes the folders
// above it that are not there, once it has something to put there.

// placeFolder is the path of a new folder, or what keeps it from being written.
func placeFolder(out string) (string, error) {
	path := filepath.Clean(out)
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("out: %s exists: want a new name", path)
	}
	return path, prefixed("out", checkWritable(filepath.Dir(path)))
}

// checkFileName refuses what can only be the name of a folder.
func checkFileName(out string) error {
	if os.IsPathSeparator(out[len(out)-1]) {
		return fmt.Errorf("out: %s is the name of a folder: want that of a file", out)
	}
	return nil
}

// makeAbove makes the folders above a path.
func makeAbove(path string) (atomicfile.Folders, error) {
	made, err := atomicfile.MakeFolders(filepath.Dir(path))
	return made, prefixed("out", err)
}
