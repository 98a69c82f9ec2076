package atomicfile

import (
	"maps"
	"os"
	"slices"
	"sync"
)

// underway are the temporary names that this process writes in the operating
// system's files, and the folders that it made for them.
var underway = struct {
	sync.Mutex
	names, folders map[string]bool
}{names: map[string]bool{}, folders: map[string]bool{}}

// enter and leave keep the list of underway.
func enter(fsys FS, temp string) {
	if fsys != (OS{}) {
		return
	}
	underway.Lock()
	defer underway.Unlock()
	underway.names[temp] = true
}

func leave(temp string) {
	underway.Lock()
	defer underway.Unlock()
	delete(underway.names, temp)
}

// enterFolders and leaveFolders keep the list of folders.
func enterFolders(f Folders) {
	underway.Lock()
	defer underway.Unlock()
	for _, dir := range f {
		underway.folders[dir] = true
	}
}

func leaveFolders(f Folders) {
	underway.Lock()
	defer underway.Unlock()
	for _, dir := range f {
		delete(underway.folders, dir)
	}
}

// Discard removes what is half-written, for a program that a signal ends: a
// large file's temporary one is hidden, and nothing else would take it away.
// Folders made for it go where nothing else is in them. Who was writing gets an
// error where it goes on.
func Discard() {
	underway.Lock()
	names := maps.Clone(underway.names)
	folders := slices.Collect(maps.Keys(underway.folders))
	underway.Unlock()
	for temp := range names {
		os.RemoveAll(temp)
	}
	for _, dir := range deepestFirst(folders) {
		os.Remove(dir)
	}
}
