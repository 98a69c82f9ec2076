package bench

import (
	"slices"
	"time"

	"align/internal/host"
)

// timing is how long steps took, in seconds: by the clock, and of the process's
// processor time.
type timing struct{ wall, core []float64 }

// add runs a step and notes its times.
func (t *timing) add(step func() error) error {
	core, start := host.ProcessorTime(), time.Now()
	if err := step(); err != nil {
		return err
	}
	t.wall = append(t.wall, time.Since(start).Seconds())
	t.core = append(t.core, (host.ProcessorTime() - core).Seconds())
	return nil
}

// Best and median of the steps.
func (t *timing) bestWall() float64   { return slices.Min(t.wall) }
func (t *timing) bestCore() float64   { return slices.Min(t.core) }
func (t *timing) medianWall() float64 { return slices.Sorted(slices.Values(t.wall))[len(t.wall)/2] }

// coreResolution is the seconds from which a step's processor time is good to
// some percent: systems count it in ticks of up to 10 ms.
const coreResolution = 0.1

// quietSeconds is what a step would take had the threads the machine for
// themselves. Others' work lengthens a step by the clock at once, its processor
// time hardly: the least processor time, at the share of the threads that was
// busy in the step with most of it, but never more than the best step by the
// clock took.
//
// A step shorter than coreResolution is taken by the clock.
func quietSeconds(wall, core []float64, threads int) float64 {
	best := slices.Min(wall)
	if slices.Min(core) <= 0 || best < coreResolution {
		return best // the system does not tell, or too coarsely
	}
	busy := 0.0
	if threads == 1 { // which waits for no other
		busy = 1
	}
	for i := range wall {
		busy = max(busy, core[i]/(wall[i]*float64(threads)))
	}
	return min(best, slices.Min(core)/(float64(threads)*min(busy, 1)))
}
