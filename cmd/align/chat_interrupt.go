package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
)

// interrupts is what Ctrl-C does in a conversation: it ends the answer under
// way. At the prompt the first one says how to end the program, and the second
// ends it.
type interrupts struct {
	io *streams
	// prompt invites to type, once more after a hint.
	prompt func()
	leave  func(code int)

	mu     sync.Mutex
	cancel context.CancelFunc // of the answer under way, or nil
	asked  bool
}

// listen begins to hear Ctrl-C; release returns to the system's own handling.
func (n *interrupts) listen() (release func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	go func() {
		for range signals {
			n.interrupt()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

func (n *interrupts) interrupt() {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.cancel != nil:
		n.cancel()
	case n.asked || !n.io.inTTY:
		fmt.Fprintln(n.io.err)
		n.leave(exitInterrupted)
	default:
		n.asked = true
		fmt.Fprintln(n.io.err, "\nCtrl-C again, Ctrl-D or /quit ends the conversation")
		n.prompt()
	}
}

// answering gives an answer a context that Ctrl-C ends; done follows the answer.
func (n *interrupts) answering(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	n.set(cancel)
	return ctx, func() {
		n.set(nil)
		cancel()
	}
}

func (n *interrupts) set(cancel context.CancelFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cancel, n.asked = cancel, false
}
