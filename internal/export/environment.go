package export

// Environment is what an export needs of its surroundings. The zero value is silent.
type Environment struct {
	// Note gets one line for every derived setting, with its reason.
	Note func(string)
	// Progress is told what is being done, how much of it is done, and how much
	// there is (in bytes, or tensors).
	Progress func(what string, done, total int64)
	// Threads is told on how many threads of the processor an export computes, where
	// that is not all, before the first of them is started.
	Threads func(n int)
}

func (e Environment) note(line string) {
	if e.Note != nil {
		e.Note(line)
	}
}

func (e Environment) progress(what string) func(done, total int64) {
	return func(done, total int64) {
		if e.Progress != nil {
			e.Progress(what, done, total)
		}
	}
}
