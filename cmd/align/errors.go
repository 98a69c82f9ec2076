package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"align/internal/train"
)

// The exit codes. The last four are what a shell reports of a program that a
// signal ended: 128 + SIGHUP, SIGINT, SIGPIPE and SIGTERM.
const (
	exitDone        = 0
	exitFailed      = 1
	exitWrongUse    = 2
	exitHungUp      = 129
	exitInterrupted = 130
	exitUnread      = 141
	exitTerminated  = 143
)

// usageError is a command line or a config that cannot be carried out as it
// is written. usage is the command's use line.
type usageError struct {
	err   error
	usage string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// hintError is an error with the one step that would help.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// hint adds a hint to an error.
func hint(err error, format string, args ...any) error {
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// stoppedError is a run that ended, with the work that it did saved, because it was asked to.
type stoppedError struct {
	by train.Request
	// early: before a step was done, so that there was nothing to save.
	early bool
}

func (e *stoppedError) Error() string {
	when := "after saving"
	if e.early {
		when = "before a step was done"
	}
	switch e.by {
	case train.HangUp:
		return "the terminal is gone: ended " + when
	case train.Unread:
		return "nobody reads the output any more: ended " + when
	case train.Terminate:
		return "terminated " + when
	}
	return "interrupted " + when
}

// exitCode is that of the signal that asked, or would have come.
func (e *stoppedError) exitCode() int {
	switch e.by {
	case train.HangUp:
		return exitHungUp
	case train.Unread:
		return exitUnread
	case train.Terminate:
		return exitTerminated
	}
	return exitInterrupted
}

// hintOf is the hint of an error; "" is none. A file that is not there under a name
// that a shell was to replace has one of its own.
func hintOf(err error) string {
	var hinted *hintError
	if errors.As(err, &hinted) {
		return hinted.hint
	}
	var file *fs.PathError
	if !errors.As(err, &file) || !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	switch name := file.Path; {
	case strings.HasPrefix(name, "~"):
		return "only a shell reads ~ as a home folder, and only where a word begins with it: write the folder out"
	case name == "-":
		return "stdin is /dev/stdin here, and what a run learns from a file, to be read again"
	case strings.ContainsAny(name, "*?["):
		return "no shell has replaced the pattern by names of files"
	}
	return ""
}

// exitCode is the one place that maps kinds of errors to exit codes.
func exitCode(err error) int {
	var usage *usageError
	var stopped *stoppedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &stopped):
		return stopped.exitCode()
	case errors.As(err, &usage):
		return exitWrongUse
	}
	return exitFailed
}

// report prints err and returns its exit code. Errors quote names from data.
func report(io *streams, err error) int {
	if err == nil {
		return exitDone
	}
	s := io.errStyle()
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(io.err, "%s %s\n", s.bad("align:"), visible(strings.TrimRight(line, "\n")))
	}
	if text := hintOf(err); text != "" {
		fmt.Fprintf(io.err, "%s %s\n", s.dim("align: hint:"), visible(text))
	}
	var usage *usageError
	if errors.As(err, &usage) && usage.usage != "" {
		fmt.Fprintf(io.err, "usage: %s\n", usage.usage)
	}
	return exitCode(err)
}
