package atomicfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Folders are folders that were made for what is about to be written in them, the
// innermost first.
type Folders []string

// MakeFolders makes dir with those above it that are not there. The caller ends
// with Remove, which can be deferred: it takes away what nothing was written in.
// Until then Discard does so too.
func MakeFolders(dir string) (made Folders, err error) {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, d)
	}
	enterFolders(made)
	err = unlessOver(OS{}, func() error { return os.MkdirAll(dir, 0o755) })
	if target, linked := os.Readlink(dir); err != nil && linked == nil {
		err = fmt.Errorf("%s is a link to %s, which is no folder", dir, target)
	}
	if err != nil {
		made.Remove()
	}
	return made, err
}

// Remove takes away those that nothing was written in: what is refused leaves
// nothing behind.
func (f Folders) Remove() {
	leaveFolders(f)
	for _, dir := range f {
		if os.Remove(dir) != nil {
			return
		}
	}
}

// deepestFirst orders folders so that each comes before the one it lies in.
func deepestFirst(f Folders) Folders {
	slices.SortFunc(f, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return f
}
