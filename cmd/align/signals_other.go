//go:build !unix

package main

import (
	"os"
	"syscall"

	"align/internal/train"
)

// watched lists the signals that a run handles; there is no SIGUSR1.
func watched() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

func requestOf(s os.Signal) train.Request {
	if s == syscall.SIGTERM {
		return train.Terminate
	}
	return train.Interrupt
}
