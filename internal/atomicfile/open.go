package atomicfile

import (
	"os"
	"sync"
)

// openFile is a file that Discard closes before it removes it: Windows removes none
// that is open.
type openFile struct{ *os.File }

// openFiles are those of this process that are being written.
var openFiles = struct {
	sync.Mutex
	list map[*openFile]bool
}{list: map[*openFile]bool{}}

func enterFile(f *os.File) *openFile {
	o := &openFile{f}
	openFiles.Lock()
	defer openFiles.Unlock()
	openFiles.list[o] = true
	return o
}

// Close implements File.
func (o *openFile) Close() error {
	openFiles.Lock()
	delete(openFiles.list, o)
	openFiles.Unlock()
	return o.File.Close()
}

// closeFiles closes all. Who was writing gets an error where it goes on.
func closeFiles() {
	openFiles.Lock()
	defer openFiles.Unlock()
	for f := range openFiles.list {
		f.File.Close()
	}
}
