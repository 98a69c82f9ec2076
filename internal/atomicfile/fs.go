package atomicfile

import (
	"io"
	"os"
)

// File is a file open for writing. Close does not imply Sync.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// FS is the part of a file system that a durable write needs.
type FS interface {
	// Mkdir makes one folder; it is an error (fs.ErrExist) if the name is taken.
	Mkdir(path string) error
	// Create makes a new file; it is an error (fs.ErrExist) if the name is taken.
	Create(path string) (File, error)
	// Rename moves a file over a file, or a folder to a free name.
	Rename(from, to string) error
	// RemoveAll deletes a file, or a folder with its content. A name that does
	// not exist is no error.
	RemoveAll(path string) error
	// SyncDir makes the names inside a folder durable.
	SyncDir(path string) error
}

// OS is the FS of the operating system.
type OS struct{}

var _ FS = OS{}

// Mkdir makes one folder with mode 0777 less the umask.
func (OS) Mkdir(path string) error { return os.Mkdir(path, 0o777) }

// Create makes a new file with mode 0666 less the umask.
func (OS) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return enterFile(f), nil
}

// Rename moves from to to.
func (OS) Rename(from, to string) error { return rename(from, to) }

// RemoveAll deletes path and what is in it.
func (OS) RemoveAll(path string) error { return os.RemoveAll(path) }

// SyncDir flushes the folder's entries. Where the system cannot flush a folder
// it does nothing.
func (OS) SyncDir(path string) error { return syncDir(path) }
