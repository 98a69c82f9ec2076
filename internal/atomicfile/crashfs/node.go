package crashfs

import (
	"maps"
	"slices"
)

// node is a file or a folder. A folder keeps its names twice: as the program
// sees them, and as the last SyncDir left them.
type node struct {
	id     int
	data   []byte
	synced int // bytes of data that are sure

	names   map[string]*node
	durable map[string]*node
}

func newDir() *node {
	return &node{id: -1, names: map[string]*node{}, durable: map[string]*node{}}
}

func (n *node) isDir() bool { return n.names != nil }

func (n *node) sorted() []string { return slices.Sorted(maps.Keys(n.names)) }

func (n *node) syncNames() { n.durable = maps.Clone(n.names) }

// find walks parts; it returns nil where a part is missing.
func (n *node) find(parts []string) *node {
	for _, p := range parts {
		if n == nil {
			return nil
		}
		n = n.names[p]
	}
	return n
}

func (n *node) link(parts []string, child *node) {
	last := len(parts) - 1
	n.find(parts[:last]).names[parts[last]] = child
}

func (n *node) unlink(parts []string) {
	last := len(parts) - 1
	delete(n.find(parts[:last]).names, parts[last])
}

// byID finds the file that operation id created. A file that was removed while
// open is an unlinked node, whose bytes no crash can show.
func (n *node) byID(id int) *node {
	if found := n.search(id); found != nil {
		return found
	}
	return &node{}
}

func (n *node) search(id int) *node {
	if !n.isDir() {
		if n.id == id {
			return n
		}
		return nil
	}
	for _, child := range n.names {
		if found := child.search(id); found != nil {
			return found
		}
	}
	return nil
}
