//go:build !linux && !darwin && !windows

package host

import (
	"errors"
	"syscall"
	"time"
)

// ProcessorTime is the time that all threads of this process have run; 0 where
// the system does not tell.
func ProcessorTime() time.Duration { return 0 }

// FreeDisk is the bytes that may still be written below dir.
func FreeDisk(string) (int64, error) {
	return 0, errors.New("host: this system is not asked for its free space")
}

// IsDiskFull says whether err tells that a disk is full.
func IsDiskFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
