package exec

import "align/internal/graph"

// capturer is a backend that records what a function enqueues and enqueues it
// again by one call, as CUDA graphs do.
type capturer interface {
	Capture(f func() error) (replay func() error, err error)
}

// graphs are the captured runs of a program, by the sizes that they have. Views
// stay as they were at the capture: new ones make all graphs void.
type graphs struct {
	backend capturer
	refused bool // a capture has failed: nothing is captured any more
	seen    map[sizes]int
	replays map[sizes]func() error
}

type sizes = [graph.NumSymbols]int

const (
	// captureAfter is how often sizes must have been run by themselves: a prompt's
	// come once, and a kernel may allocate in its first run.
	captureAfter = 2
	// captureMost bounds what a backend has to keep.
	captureMost = 64
)

// Capture makes the program enqueue runs of sizes that come again by one call,
// where the backend can; one that it cannot capture goes on as before. It is for
// programs whose views stay.
func (pr *Program) Capture() {
	if b, is := pr.backend.(capturer); is {
		pr.graphs = &graphs{backend: b, seen: map[sizes]int{}, replays: map[sizes]func() error{}}
	}
}

func (g *graphs) forget() {
	if g != nil {
		clear(g.seen)
		clear(g.replays)
	}
}

func (g *graphs) run(pr *Program) error {
	if replay := g.replays[pr.rows]; replay != nil {
		return replay()
	}
	if g.seen[pr.rows]++; g.refused || g.seen[pr.rows] <= captureAfter || len(g.replays) >= captureMost {
		return pr.runOnce()
	}
	replay, err := g.backend.Capture(pr.run)
	if err != nil {
		// What a capture forbids is fine outside of one; a fault of the device comes again.
		g.refused = true
		return pr.runOnce()
	}
	g.replays[pr.rows] = replay
	return replay()
}
