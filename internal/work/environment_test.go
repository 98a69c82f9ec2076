package work_test

import (
	"testing"

	"align/internal/work"
)

// What listens is told, and the zero value is silent.
func TestEnvironment(t *testing.T) {
	var silent work.Environment
	silent.Tell("a line")
	silent.Doing("something")(1, 2)
	var line, what string
	var at, all int64
	e := work.Environment{
		Note:     func(s string) { line = s },
		Progress: func(s string, done, total int64) { what, at, all = s, done, total },
	}
	e.Tell("a line")
	e.Doing("something")(1, 2)
	if line != "a line" || what != "something" || at != 1 || all != 2 {
		t.Errorf("told %q, %q %d of %d", line, what, at, all)
	}
}
