package ppo

import (
	"fmt"
	"time"
)

// Spent is the time of the parts of a run: drawing the answers, scoring them,
// the passes of policy, reference and critic over them, and learning.
type Spent struct{ Rollout, Score, Policy, Reference, Critic, Update time.Duration }

// Spent is the time of the run so far; the optimizer's own is not in it.
func (t *Trainer) Spent() Spent { return t.spent }

// Total is the sum of the parts.
func (s Spent) Total() time.Duration {
	return s.Rollout + s.Score + s.Policy + s.Reference + s.Critic + s.Update
}

// String is the share of each part.
func (s Spent) String() string {
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / max(s.Total().Seconds(), 1e-9) }
	return fmt.Sprintf("rollout %.0f %%, scores %.0f %%, passes of policy %.0f %%, reference %.0f %% and critic %.0f %%, learning %.0f %%",
		share(s.Rollout), share(s.Score), share(s.Policy), share(s.Reference), share(s.Critic), share(s.Update))
}

// add counts the time since start to a part.
func (*Spent) add(part *time.Duration, start time.Time) { *part += time.Since(start) }

// Since is what came after an earlier state.
func (s Spent) Since(o Spent) Spent {
	return Spent{s.Rollout - o.Rollout, s.Score - o.Score, s.Policy - o.Policy, s.Reference - o.Reference, s.Critic - o.Critic, s.Update - o.Update}
}
