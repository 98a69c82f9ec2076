package main

import (
	"errors"
	"io/fs"
	"runtime"
	"syscall"
	"testing"
)

// The codes of Windows are numbers everywhere, and other errors elsewhere.
func TestIsUnread(t *testing.T) {
	windows := runtime.GOOS == "windows"
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"EPIPE", &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}, true},
		{"full", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, false},
		{"closed by us", fs.ErrClosed, false},
		{"ERROR_BROKEN_PIPE", &fs.PathError{Op: "write", Path: "|1", Err: syscall.Errno(109)}, windows},
		{"ERROR_NO_DATA", &fs.PathError{Op: "write", Path: "|1", Err: syscall.Errno(232)}, windows},
		{"joined", errors.Join(errors.New("other"), syscall.EPIPE), true},
	} {
		if got := isUnread(c.err); got != c.want {
			t.Errorf("%s: %v is unread: %v, want %v", c.name, c.err, got, c.want)
		}
	}
}
