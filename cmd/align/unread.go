//go:build !windows

package main

import (
	"errors"
	"syscall"
)

// isUnread says whether a write failed because its reader is gone.
func isUnread(err error) bool { return errors.Is(err, syscall.EPIPE) }
