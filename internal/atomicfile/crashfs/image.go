package crashfs

import (
	"fmt"
	"os"
	"path/filepath"
)

// Data says what becomes of bytes that were written and not synced.
type Data int

// The ways unsynced bytes end.
const (
	Kept    Data = iota // all reached the disk
	Dropped             // none did
	Torn512             // every second block of 512 bytes did, the others are zero
	Torn4K              // every second block of 4096 bytes did, the others are zero
	Cut                 // the first half did and the file is short
)

// Mode is one way for a crash to end. Names has one bit for each folder, in
// the order in which a walk of the tree meets them (taken modulo 8): set, its
// unsynced names are there; clear, they are as at its last SyncDir.
type Mode struct {
	Data  Data
	Names uint8
}

// Modes lists every Mode that gives another image for up to eight folders
// deciding apart. Folders is how many folders the tree has.
func Modes(folders int) []Mode {
	var modes []Mode
	for data := Kept; data <= Cut; data++ {
		for names := range 1 << min(folders, 8) {
			modes = append(modes, Mode{data, uint8(names)})
		}
	}
	return modes
}

// Image is what a disk holds: slash-separated paths under the root. A folder
// is the key with a trailing slash.
type Image map[string][]byte

// Crash returns the disk after the first n operations and a loss of power.
func (f *FS) Crash(n int, m Mode) Image {
	root := f.initial()
	for _, o := range f.ops[:n] {
		o.apply(root)
	}
	image := Image{}
	folder := 0
	image.add("", root, m, &folder)
	return image
}

func (im Image) add(prefix string, n *node, m Mode, folder *int) {
	names := n.durable
	if m.Names>>(*folder%8)&1 == 1 {
		names = n.names
	}
	*folder++
	for _, name := range sortedNames(names) {
		child, path := names[name], prefix+name
		if child.isDir() {
			im[path+"/"] = nil
			im.add(path+"/", child, m, folder)
			continue
		}
		im[path] = survive(child, m.Data)
	}
}

// survive applies a Data rule to one file.
func survive(n *node, d Data) []byte {
	sure, loose := n.data[:n.synced], n.data[n.synced:]
	out := append([]byte(nil), sure...)
	switch d {
	case Kept:
		out = append(out, loose...)
	case Torn512, Torn4K:
		out = append(out, tear(loose, map[Data]int{Torn512: 512, Torn4K: 4096}[d])...)
	case Cut:
		out = append(out, loose[:len(loose)/2]...)
	}
	return out
}

func tear(b []byte, block int) []byte {
	out := append([]byte(nil), b...)
	for at := 0; at < len(out); at += 2 * block {
		clear(out[at:min(at+block, len(out))])
	}
	return out
}

// Write puts the image into the existing folder dir of the real file system.
func (im Image) Write(dir string) error {
	for path, data := range im {
		at := filepath.Join(dir, filepath.FromSlash(path))
		if path[len(path)-1] == '/' {
			if err := os.MkdirAll(at, 0o777); err != nil {
				return fmt.Errorf("crashfs: %w", err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			return fmt.Errorf("crashfs: %w", err)
		}
		if err := os.WriteFile(at, data, 0o666); err != nil {
			return fmt.Errorf("crashfs: %w", err)
		}
	}
	return nil
}
