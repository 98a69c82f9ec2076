//go:build unix

package main

import (
	"os"
	"syscall"

	"align/internal/train"
)

// watched lists the signals that a run handles.
func watched() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1}
}

func requestOf(s os.Signal) train.Request {
	switch s {
	case syscall.SIGUSR1:
		return train.SaveNow
	case syscall.SIGTERM:
		return train.Terminate
	}
	return train.Interrupt
}
