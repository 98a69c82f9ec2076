package main

import (
	"os"
	"os/signal"
	"time"

	"align/internal/atomicfile"
	"align/internal/train"
)

// watchSignals passes signals on to a run's stop, with a note on what follows.
// The first Ctrl-C, SIGTERM or SIGHUP asks for the end after the step under way; the
// second calls leave, which ends the program. SIGUSR1 asks for a checkpoint.
// release returns to the system's own handling.
func watchSignals(stop *train.Stop, note func(string), leave func(code int)) (release func()) {
	signals := make(chan os.Signal, 8)
	done := make(chan struct{})
	signal.Notify(signals, watched()...)
	go func() {
		asked, first := false, heard{}
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				r, now := requestOf(s), time.Now()
				if asked && first.echoes(r, now) {
					continue
				}
				if was := asked; pass(r, asked, stop, note, leave) && !was {
					asked, first = true, heard{r, now}
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// heard is the signal that asked for the end, and when.
type heard struct {
	by train.Request
	at time.Time
}

// echoTime is how long after a signal that programs send its like is the same request:
// timeout(1) sends SIGTERM to the program and to its group, and of a terminal that is
// closed the shell and the kernel send a SIGHUP each.
const echoTime = time.Second

// echoes says whether a signal is the first one come twice.
func (h heard) echoes(r train.Request, now time.Time) bool {
	return r == h.by && (r == train.Terminate || r == train.HangUp) && now.Sub(h.at) < echoTime
}

// discardOnSignal lets Ctrl-C, SIGTERM and SIGHUP end a command that has nothing to
// save, as they would, but not before what it has half-written is gone. release
// returns to the system's own handling; after a signal it waits for the end, so that
// no error of a file that is gone comes first.
func discardOnSignal(leave func(code int)) (release func()) {
	signals := make(chan os.Signal, 1)
	done, ended := make(chan struct{}), make(chan struct{})
	for _, s := range watched() {
		if !signal.Ignored(s) && requestOf(s) != train.SaveNow {
			signal.Notify(signals, s)
		}
	}
	go func() {
		defer close(ended)
		select {
		case <-done:
		case s := <-signals:
			defer atomicfile.Discard()()
			leave(exitCode(&stoppedError{by: requestOf(s)}))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// leaver ends the program with the terminal left clean.
func leaver(r reporter) func(code int) {
	return func(code int) {
		r.close()
		os.Exit(code)
	}
}

// pass handles one signal; asked says that the end has been asked for.
func pass(r train.Request, asked bool, stop *train.Stop, note func(string), leave func(code int)) bool {
	switch {
	case r == train.SaveNow:
		note("saving after this step")
	case asked:
		note("stopped at once: what was done since the last checkpoint is lost")
		leave(exitCode(&stoppedError{by: r}))
	default:
		note("finishing this step, then saving; again to stop now")
		asked = true
	}
	stop.Ask(r)
	return asked
}
