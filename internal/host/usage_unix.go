//go:build linux || darwin

package host

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessorTime is the time that all threads of this process have run; 0 where
// the system does not tell.
func ProcessorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// FreeDisk is the bytes that may still be written below dir.
func FreeDisk(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("host: free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// IsDiskFull says whether err tells that a disk is full.
func IsDiskFull(err error) bool { return errors.Is(err, unix.ENOSPC) }
