package atomicfile

import (
	"errors"
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
	over           bool // nothing more is begun
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

// errOver is returned where something is to be made after Discard.
var errOver = errors.New("the program is ending")

// unlessOver makes something in the operating system's files, at a time when
// Discard does not go through them.
func unlessOver(fsys FS, make func() error) error {
	if fsys != (OS{}) {
		return make()
	}
	underway.Lock()
	defer underway.Unlock()
	if underway.over {
		return errOver
	}
	return make()
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
// error where it goes on, and nothing new is begun until goOn.
func Discard() (goOn func()) {
	underway.Lock()
	defer underway.Unlock()
	underway.over = true
	closeFiles()
	for temp := range underway.names {
		os.RemoveAll(temp)
	}
	for _, dir := range deepestFirst(slices.Collect(maps.Keys(underway.folders))) {
		os.Remove(dir)
	}
	return func() {
		underway.Lock()
		defer underway.Unlock()
		underway.over = false
	}
}
