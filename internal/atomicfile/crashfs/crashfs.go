// Package crashfs is an atomicfile.FS in memory for tests. It records every
// operation, fails a chosen one, and shows what a disk may hold when the power
// goes after any of them.
//
// The model: a file's bytes are sure only up to its last Sync, a folder's
// names only up to its last SyncDir; what came later may be there, missing or
// torn, and each folder decides apart (Mode).
package crashfs

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"align/internal/atomicfile"
)

// FS implements atomicfile.FS. It is not safe for concurrent use.
type FS struct {
	root   string
	tree   *node
	start  *node // the tree before the first operation; nil means empty
	ops    []op
	failAt int
	fail   error
}

var _ atomicfile.FS = (*FS)(nil)

// op is one recorded operation: its name, for reports, and how to repeat it.
type op struct {
	name  string
	apply func(root *node)
}

// New returns an empty file system in which root is the only folder.
func New(root string) *FS {
	return &FS{root: filepath.Clean(root), tree: newDir(), failAt: -1}
}

// FailAt makes operation n, counted from zero, return err and do nothing.
func (f *FS) FailAt(n int, err error) { f.failAt, f.fail = n, err }

// Ops is the number of operations so far; those that failed count too.
func (f *FS) Ops() int { return len(f.ops) }

// Op is the name of operation n.
func (f *FS) Op(n int) string { return f.ops[n].name }

// do records an operation and applies it.
func (f *FS) do(name string, apply func(root *node)) error {
	n := len(f.ops)
	if n == f.failAt {
		f.ops = append(f.ops, op{name + " (fails)", func(*node) {}})
		return f.fail
	}
	f.ops = append(f.ops, op{name, apply})
	apply(f.tree)
	return nil
}

// Mkdir implements atomicfile.FS.
func (f *FS) Mkdir(path string) error {
	parts, err := f.free("mkdir", path)
	if err != nil {
		return err
	}
	return f.do("mkdir "+path, func(root *node) { root.link(parts, newDir()) })
}

// Create implements atomicfile.FS.
func (f *FS) Create(path string) (atomicfile.File, error) {
	parts, err := f.free("open", path)
	if err != nil {
		return nil, err
	}
	id := len(f.ops)
	err = f.do("create "+path, func(root *node) { root.link(parts, &node{id: id}) })
	if err != nil {
		return nil, err
	}
	return &file{fs: f, id: id, path: path}, nil
}

// Rename implements atomicfile.FS.
func (f *FS) Rename(from, to string) error {
	src, dst := f.split(from), f.split(to)
	moved, err := f.lookup("rename", from)
	if err != nil {
		return err
	}
	target := f.tree.find(dst)
	if target != nil && (target.isDir() != moved.isDir() || len(target.names) > 0) {
		return &fs.PathError{Op: "rename", Path: to, Err: syscall.ENOTEMPTY}
	}
	return f.do("rename "+from+" "+to, func(root *node) {
		n := root.find(src)
		root.unlink(src)
		root.link(dst, n)
	})
}

// RemoveAll implements atomicfile.FS. Each file and folder that goes is an
// operation of its own, so that a crash can fall between them.
func (f *FS) RemoveAll(path string) error {
	n := f.tree.find(f.split(path))
	if n == nil {
		return nil
	}
	for _, name := range n.sorted() {
		if err := f.RemoveAll(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	parts := f.split(path)
	return f.do("remove "+path, func(root *node) { root.unlink(parts) })
}

// SyncDir implements atomicfile.FS.
func (f *FS) SyncDir(path string) error {
	if _, err := f.lookup("sync", path); err != nil {
		return err
	}
	parts := f.split(path)
	return f.do("syncdir "+path, func(root *node) { root.find(parts).syncNames() })
}

// Exists reports whether path names something now.
func (f *FS) Exists(path string) bool { return f.tree.find(f.split(path)) != nil }

// split turns a path under the root into its parts.
func (f *FS) split(path string) []string {
	rel, err := filepath.Rel(f.root, path)
	if err != nil || !filepath.IsLocal(rel) {
		panic(fmt.Sprintf("crashfs: %s is outside %s", path, f.root))
	}
	if rel == "." {
		return nil
	}
	return strings.Split(rel, string(filepath.Separator))
}

// free checks that path can be made: its parent exists and it does not.
func (f *FS) free(what, path string) ([]string, error) {
	parts := f.split(path)
	if f.tree.find(parts) != nil {
		return nil, &fs.PathError{Op: what, Path: path, Err: syscall.EEXIST}
	}
	if _, err := f.lookup(what, filepath.Dir(path)); err != nil {
		return nil, err
	}
	return parts, nil
}

func (f *FS) lookup(what, path string) (*node, error) {
	n := f.tree.find(f.split(path))
	if n == nil {
		return nil, &fs.PathError{Op: what, Path: path, Err: syscall.ENOENT}
	}
	return n, nil
}

// file is an open file: writes and syncs find the node by the id of its create.
type file struct {
	fs   *FS
	id   int
	path string
}

// Write implements io.Writer.
func (w *file) Write(p []byte) (int, error) {
	data := slices.Clone(p)
	err := w.fs.do("write "+w.path, func(root *node) {
		n := root.byID(w.id)
		n.data = append(n.data, data...)
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync implements atomicfile.File.
func (w *file) Sync() error {
	return w.fs.do("sync "+w.path, func(root *node) {
		n := root.byID(w.id)
		n.synced = len(n.data)
	})
}

// Close implements atomicfile.File.
func (w *file) Close() error {
	return w.fs.do("close "+w.path, func(*node) {})
}
