package main

import (
	"runtime"
	"time"

	"align/align"
	"align/internal/train"
	"align/internal/work"
)

// environment is what a command gives its work: notes, progress, and threads.
func environment(r reporter) align.Environment {
	return align.Environment{Note: r.note, Progress: r.progress, Threads: limitThreads}
}

// working is environment for work that is no stage.
func working(r reporter) work.Environment {
	return work.Environment{Note: r.note, Progress: r.progress, Threads: limitThreads}
}

// stoppable is environment for work that the user may end.
func stoppable(r reporter, stop *train.Stop) align.Environment {
	e := environment(r)
	e.Stop = stop
	return e
}

// trained is stoppable for work that tells its steps.
func trained(r reporter, stop *train.Stop) align.Environment {
	e := stoppable(r, stop)
	e.Report = r
	return e
}

// testOnlyCalibration is how long a plan measures this machine where that is not 0: a
// test that looks at no time of a plan does not wait for it.
var testOnlyCalibration time.Duration

// planning is environment for a plan, which keeps its notes itself.
func planning(r reporter) align.Environment {
	return align.Environment{Progress: r.progress, Threads: limitThreads, Calibration: testOnlyCalibration}
}

// limitThreads keeps Go to as many threads as a run computes on. A goroutine
// that computes for long is put aside every 10 ms, and an idle thread would take it to
// another core, away from what lies in its caches: up to a third of a step.
func limitThreads(n int) {
	if n < runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}
