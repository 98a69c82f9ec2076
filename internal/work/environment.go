// Package work is what work of any kind tells its surroundings while it goes on.
package work

// Environment is told what is derived, how far the work is, and on how many threads
// it computes. The zero value is silent.
type Environment struct {
	// Note gets one line for everything that is worth one: a derived setting with its
	// reason, the device, a workload.
	Note func(string)
	// Progress is told what is being done, how much of it is done, and how much
	// there is.
	Progress func(what string, done, total int64)
	// Threads is told on how many threads of the processor the work computes, where
	// that is not all, before the first of them is started.
	Threads func(n int)
}

// Tell notes a line.
func (e Environment) Tell(line string) {
	if e.Note != nil {
		e.Note(line)
	}
}

// Doing is told how far the work of the name is.
func (e Environment) Doing(what string) func(done, total int64) {
	return func(done, total int64) {
		if e.Progress != nil {
			e.Progress(what, done, total)
		}
	}
}
