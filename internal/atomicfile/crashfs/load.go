package crashfs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Load returns a file system whose root is the real folder dir and which holds
// a copy of it, all of it durable. Operations change the copy alone.
func Load(dir string) (*FS, error) {
	f := New(dir)
	tree, err := loadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("crashfs: %w", err)
	}
	f.tree = tree
	f.start = tree.clone()
	return f, nil
}

// initial is a fresh copy of the tree before the first operation.
func (f *FS) initial() *node {
	if f.start == nil {
		return newDir()
	}
	return f.start.clone()
}

func loadDir(dir string) (*node, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	n := newDir()
	for _, e := range entries {
		child, err := load(filepath.Join(dir, e.Name()), e.IsDir())
		if err != nil {
			return nil, err
		}
		n.names[e.Name()] = child
	}
	n.syncNames()
	return n, nil
}

func load(path string, isDir bool) (*node, error) {
	if isDir {
		return loadDir(path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &node{id: -1, data: data, synced: len(data)}, nil
}

func (n *node) clone() *node {
	if !n.isDir() {
		return &node{id: n.id, data: slices.Clone(n.data), synced: n.synced}
	}
	c := newDir()
	for name, child := range n.names {
		c.names[name] = child.clone()
	}
	c.syncNames()
	return c
}

func sortedNames(m map[string]*node) []string { return slices.Sorted(maps.Keys(m)) }
