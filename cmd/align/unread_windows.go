package main

import (
	"errors"
	"syscall"
)

// errorNoData is ERROR_NO_DATA, of a pipe that is being closed
// (https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499-);
// package syscall has no name for it.
const errorNoData = syscall.Errno(232)

// isUnread says whether a write failed because its reader is gone. Windows has two
// codes for that: the pipe has ended, and it is ending.
func isUnread(err error) bool {
	return errors.Is(err, syscall.ERROR_BROKEN_PIPE) || errors.Is(err, errorNoData) || errors.Is(err, syscall.EPIPE)
}
