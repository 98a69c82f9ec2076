package runfolder

import (
	"fmt"
	"os"
	"path/filepath"

	"align/internal/atomicfile"

	"github.com/gofrs/flock"
)

// lockFile of a run's folder is locked by the process at work there. It is
// empty, and stays where the process leaves anything else.
const lockFile = ".lock"

// Claim keeps other processes from working in a run's folder until release. The
// system takes the claim from a process that dies, so that nothing is left to
// clear away. A file system without locks keeps nobody out, which is noted.
func Claim(run string, note func(string)) (release func(), err error) {
	lock := flock.New(filepath.Join(run, lockFile))
	held, err := lock.TryLock()
	if err != nil {
		note(fmt.Sprintf("%s: no other process is kept out (%v)", run, err))
		return func() {}, nil
	}
	if !held {
		return nil, fmt.Errorf("%s is in use: %s (wait for it, or stop it)", run, readHolder(run))
	}
	if err := atomicfile.Sweep(run); err != nil {
		note(fmt.Sprintf("%s: what an earlier process left half-written is still there (%v)", run, err))
	}
	if err := thisProcess().leave(run); err != nil {
		note(fmt.Sprintf("%s: other processes are kept out, but not told by whom (%v)", run, err))
	}
	return func() {
		os.Remove(filepath.Join(run, holderFile)) // what stays is not read without the lock
		files, err := os.ReadDir(run)
		alone := err == nil && len(files) == 1 && files[0].Name() == lockFile
		locked := alone && os.Remove(lock.Path()) != nil // while it is held: nobody else has it then
		lock.Close()                                     // the claim ends with the file, whatever it says
		if locked {
			os.Remove(lock.Path()) // Windows removes none that is open, be it another process's
		}
	}, nil
}
