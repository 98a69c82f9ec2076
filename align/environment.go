package align

import (
	"time"

	"align/datasets"
	"align/internal/host"
	"align/internal/train"
	"align/internal/work"
)

// Environment is what a stage needs of its surroundings. The zero value is
// silent.
type Environment struct {
	// Report is told every step and checkpoint.
	Report train.Reporter
	// Note gets one line for every derived setting, with its reason.
	Note func(string)
	// Progress is told of work before the first step: what is being done, how
	// much of it is done, and how much there is (in bytes, or pairs).
	Progress func(what string, done, total int64)
	// Threads is told on how many threads of the processor a run computes, where that
	// is not all, before the first of them is started.
	Threads func(n int)
	// Stop carries the user's requests to end or to save.
	Stop *train.Stop
	// CacheDir holds reference log-probabilities; "" takes host.CacheDir.
	CacheDir string
	// Calibration is how long a plan measures this machine; 0 takes two seconds.
	Calibration time.Duration
	// planning: nothing is run, so that a card need not be there.
	planning bool
}

// work is what work below a stage tells.
func (e Environment) work() work.Environment {
	return work.Environment{Note: e.Note, Progress: e.Progress, Threads: e.Threads}
}

func (e Environment) note(line string) { e.work().Tell(line) }

// noteRead tells what was read of a file, and what of it was not.
func (e Environment) noteRead(s datasets.Summary) {
	e.note(s.String())
	if line := s.UnreadLine(); line != "" {
		e.note(line)
	}
}

func (e Environment) progress(what string) func(done, total int64) {
	return e.work().Doing(what)
}

func (e Environment) cacheDir() string {
	if e.CacheDir != "" {
		return e.CacheDir
	}
	return host.CacheDir()
}

// silent is a Reporter that tells nobody.
type silent struct{}

func (silent) Stepped(train.Event) {}
func (silent) Saved(string, int)   {}

func (e Environment) reporter() train.Reporter {
	if e.Report == nil {
		return silent{}
	}
	return e.Report
}

// Result is what a stage leaves behind.
type Result struct {
	train.Result
	// Run is the run's folder.
	Run string
}
