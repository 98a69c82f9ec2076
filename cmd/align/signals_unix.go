//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"align/internal/train"
)

// watched lists the signals that a run handles.
func watched() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup, which lets a run go on
		list = append(list, syscall.SIGHUP)
	}
	return list
}

func requestOf(s os.Signal) train.Request {
	switch s {
	case syscall.SIGUSR1:
		return train.SaveNow
	case syscall.SIGHUP:
		return train.HangUp
	case syscall.SIGTERM:
		return train.Terminate
	}
	return train.Interrupt
}
