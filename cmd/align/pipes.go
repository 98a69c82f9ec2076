package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"align/internal/train"
)

// watchPipes gives the streams to a run that ends, with its work saved, once nobody
// reads stdout or stderr any more: `align dpo --json | head`. The system would end
// the program at its next write. release returns to that.
func (s *streams) watchPipes(stop *train.Stop) (watched *streams, release func()) {
	// A program that asks for the signal gets the error of the write instead. The
	// signal itself says nothing: sockets bring it too.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGPIPE)
	own := *s
	own.out, own.err = watchedPipe{s.out, stop}, watchedPipe{s.err, stop}
	return &own, func() { signal.Stop(signals) }
}

// watchedPipe asks for the end where its reader is gone.
type watchedPipe struct {
	io.Writer
	stop *train.Stop
}

func (p watchedPipe) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	if isUnread(err) {
		p.stop.Ask(train.Unread)
	}
	return n, err
}
