package main

import (
	"os"
	"os/signal"

	"align/internal/train"
)

// watchSignals passes signals on to a run's stop, with a note on what follows.
// The first Ctrl-C or SIGTERM asks for the end after the step under way; the
// second calls leave, which ends the program. SIGUSR1 asks for a checkpoint.
// release returns to the system's own handling.
func watchSignals(stop *train.Stop, note func(string), leave func(code int)) (release func()) {
	signals := make(chan os.Signal, 8)
	done := make(chan struct{})
	signal.Notify(signals, watched()...)
	go func() {
		asked := false
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				asked = pass(requestOf(s), asked, stop, note, leave)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// pass handles one signal; asked says that the end has been asked for.
func pass(r train.Request, asked bool, stop *train.Stop, note func(string), leave func(code int)) bool {
	switch {
	case r == train.SaveNow:
		note("saving after this step")
	case asked:
		leave(exitCode(&stoppedError{by: r}))
	default:
		note("finishing this step, then saving; again to stop now")
		asked = true
	}
	stop.Ask(r)
	return asked
}
