package main

import (
	"context"
	"strings"
	"testing"
)

// TestCtrlCStopsTheAnswerNotTheProgram, and at the prompt only the second in a
// row ends it; without a terminal there is no prompt to stay at.
func TestCtrlCStopsTheAnswerNotTheProgram(t *testing.T) {
	io, _, err := testStreams("")
	io.inTTY = true
	code, prompts := 0, 0
	n := &interrupts{io: io, prompt: func() { prompts++ }, leave: func(c int) { code = c }}
	ctx, done := n.answering(context.Background())
	n.interrupt()
	if ctx.Err() == nil || code != 0 || err.Len() > 0 {
		t.Errorf("in an answer: %v, code %d, %q", ctx.Err(), code, err)
	}
	done()
	n.interrupt()
	if code != 0 || prompts != 1 || !strings.Contains(err.String(), "Ctrl-C again, Ctrl-D or /quit ends the conversation") {
		t.Errorf("at the prompt: code %d, %d prompts, %q", code, prompts, err)
	}
	_, done = n.answering(context.Background()) // a message in between begins anew
	done()
	n.interrupt()
	if code != 0 {
		t.Errorf("left with %d after one Ctrl-C", code)
	}
	n.interrupt()
	if code != exitInterrupted {
		t.Errorf("left with %d after two, want %d", code, exitInterrupted)
	}
	io.inTTY, code = false, 0
	n = &interrupts{io: io, leave: func(c int) { code = c }}
	if n.interrupt(); code != exitInterrupted {
		t.Errorf("left with %d without a terminal, want %d", code, exitInterrupted)
	}
}
