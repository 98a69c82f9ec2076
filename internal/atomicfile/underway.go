package atomicfile

import (
	"maps"
	"os"
	"sync"
)

// underway are the temporary names that this process writes in the operating
// system's files.
var underway = struct {
	sync.Mutex
	names map[string]bool
}{names: map[string]bool{}}

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

// Discard removes what is half-written, for a program that a signal ends: a
// large file's temporary one is hidden, and nothing else would take it away.
// Who was writing gets an error where it goes on.
func Discard() {
	underway.Lock()
	names := maps.Clone(underway.names)
	underway.Unlock()
	for temp := range names {
		os.RemoveAll(temp)
	}
}
