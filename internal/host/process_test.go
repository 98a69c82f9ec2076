package host

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// What doctor and a run's first checkpoint are told of the disk, where the system tells.
func TestFreeDisk(t *testing.T) {
	free, err := FreeDisk(t.TempDir())
	if err != nil || free <= 0 {
		t.Errorf("%d bytes, %v", free, err)
	}
	if _, err := FreeDisk(t.TempDir() + "/none"); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

func TestProcessorTime(t *testing.T) {
	before, begun := ProcessorTime(), time.Now()
	for ProcessorTime() == before && time.Since(begun) < 10*time.Second {
	}
	if ran := ProcessorTime() - before; ran <= 0 || ran > time.Minute {
		t.Errorf("%v after %v", ran, time.Since(begun))
	}
}

func TestIsDiskFull(t *testing.T) {
	if !IsDiskFull(fmt.Errorf("checkpoint: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})) || IsDiskFull(os.ErrNotExist) || IsDiskFull(nil) {
		t.Error("a full disk is not told from others")
	}
}
