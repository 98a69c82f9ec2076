package train

import (
	"context"
	"sync"
	"sync/atomic"
)

// Request is what a run is asked to do after the step under way.
type Request int32

// Requests, from the weakest: a stronger one replaces a weaker.
const (
	// Continue asks for nothing.
	Continue Request = iota
	// SaveNow asks for a checkpoint; the run goes on (SIGUSR1).
	SaveNow
	// Interrupt asks for a checkpoint and the end (Ctrl-C).
	Interrupt
	// HangUp is Interrupt by SIGHUP: the terminal is gone.
	HangUp
	// Unread is Interrupt because nobody reads the output any more.
	Unread
	// Terminate is Interrupt by SIGTERM.
	Terminate
)

// Stop carries requests from a signal handler to the loop.
type Stop struct {
	request atomic.Int32
	mu      sync.Mutex
	ends    []context.CancelFunc
}

// Ask makes a request.
func (s *Stop) Ask(r Request) {
	for old := s.request.Load(); int32(r) > old && !s.request.CompareAndSwap(old, int32(r)); {
		old = s.request.Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// end cancels what Until has made, where the end is asked for. It is called with
// mu held.
func (s *Stop) end() {
	if s.Asked() <= SaveNow {
		return
	}
	for _, cancel := range s.ends {
		cancel()
	}
	s.ends = nil
}

// Until is ctx for work without steps: it is cancelled as soon as the end is asked
// for. The caller calls cancel when the work is done.
func (s *Stop) Until(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithCancel(ctx)
	if s == nil {
		return ctx, cancel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, cancel)
	s.end()
	return ctx, cancel
}

// take returns the request; a SaveNow is taken off, an end stays.
func (s *Stop) take() Request {
	if s == nil {
		return Continue
	}
	if s.request.CompareAndSwap(int32(SaveNow), int32(Continue)) {
		return SaveNow
	}
	return Request(s.request.Load())
}

// Asked is the request, which stays: a job of several runs looks at it between
// them.
func (s *Stop) Asked() Request {
	if s == nil {
		return Continue
	}
	return Request(s.request.Load())
}
