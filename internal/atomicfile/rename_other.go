//go:build !unix

package atomicfile

import (
	"io/fs"
	"os"
)

// rename does as Unix does. Windows moves no folder onto another, be it empty, and
// calls that access denied.
func rename(from, to string) error {
	err := os.Rename(from, to)
	if err == nil || !isFolder(from) || !isFolder(to) {
		return err
	}
	if os.Remove(to) != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

func isFolder(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}
