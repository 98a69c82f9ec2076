package main

import (
	"strings"
	"testing"
	"time"

	"align/internal/train"
)

// The first request for the end is passed on, the second leaves at once with
// its own code; a request to save counts as neither.
func TestSecondSignalLeaves(t *testing.T) {
	var stop train.Stop
	var told []string
	code := 0
	note := func(text string) { told = append(told, text) }
	leave := func(c int) { code = c }
	asked := pass(train.SaveNow, false, &stop, note, leave)
	asked = pass(train.Interrupt, asked, &stop, note, leave)
	if code != 0 || !asked {
		t.Fatalf("left with %d after one Ctrl-C", code)
	}
	asked = pass(train.SaveNow, asked, &stop, note, leave)
	pass(train.Terminate, asked, &stop, note, leave)
	if code != exitTerminated {
		t.Errorf("left with %d, want %d", code, exitTerminated)
	}
	if got := strings.Join(told, "; "); got != "saving after this step; finishing this step, then saving; again to stop now; saving after this step; stopped at once: what was done since the last checkpoint is lost" {
		t.Errorf("told %q", got)
	}
}

// A SIGTERM or SIGHUP that comes twice at once is one request; a second Ctrl-C is
// somebody's who does not want to wait, and so is another signal or a later one.
func TestASignalThatEchoes(t *testing.T) {
	start := time.Now()
	for _, tc := range []struct {
		first, second train.Request
		after         time.Duration
		want          bool
	}{
		{train.Terminate, train.Terminate, time.Millisecond, true},
		{train.HangUp, train.HangUp, 500 * time.Millisecond, true},
		{train.Terminate, train.Terminate, 2 * time.Second, false},
		{train.Interrupt, train.Interrupt, time.Millisecond, false},
		{train.Interrupt, train.Terminate, time.Millisecond, false},
		{train.HangUp, train.Terminate, time.Millisecond, false},
	} {
		if got := (heard{tc.first, start}).echoes(tc.second, start.Add(tc.after)); got != tc.want {
			t.Errorf("%v, then %v after %v: an echo %v, want %v", tc.first, tc.second, tc.after, got, tc.want)
		}
	}
}
