package ppo

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// place is what a checkpoint keeps of a run beside its weights: the rollout
// under way with all that cannot be computed again, and the step in it.
type place struct {
	Order     jsontext.Value `json:"order"`
	Iteration int            `json:"iteration"`
	Position  int            `json:"position"`
	Seen      int            `json:"seen"`
	LastKL    float64        `json:"last_kl"`
	KLCoef    float64        `json:"kl_coef"`
	Moments   runningMoments `json:"moments"`
	Episodes  []episode      `json:"episodes"`
}

// State is the place after the last step.
func (t *Trainer) State() ([]byte, error) {
	order, err := t.Order.State()
	if err != nil {
		return nil, err
	}
	return json.Marshal(place{
		Order: order, Iteration: t.iteration, Position: t.position, Seen: t.seen,
		LastKL: t.lastKL, KLCoef: t.kl.Coef, Moments: t.moments, Episodes: t.episodes,
	})
}

// mark notes where the trainer stands; back takes it there.
func (t *Trainer) mark() (back func() error, err error) {
	order, err := t.Order.State()
	at := *t
	return func() error {
		t.iteration, t.position, t.seen, t.lastKL = at.iteration, at.position, at.seen, at.lastKL
		t.kl, t.moments, t.episodes = at.kl, at.moments, at.episodes
		return t.Order.Restore(order)
	}, err
}

// Restore goes back to it.
func (t *Trainer) Restore(data []byte) error {
	var p place
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("ppo: state: %w", err)
	}
	for i, e := range p.Episodes {
		if e.Prompt < 0 || e.Prompt >= len(t.Prompts) || len(e.LogProbs) != len(e.IDs) || len(e.Reference) != len(e.IDs) ||
			t.Config.Algorithm == PPO && len(e.Values) != len(e.IDs) {
			return fmt.Errorf("ppo: state: episode %d does not fit this run", i+1)
		}
	}
	if len(p.Episodes)%t.Config.K != 0 {
		return fmt.Errorf("ppo: state: %d episodes are no groups of %d", len(p.Episodes), t.Config.K)
	}
	if err := t.Order.Restore(p.Order); err != nil {
		return err
	}
	t.iteration, t.position, t.seen, t.lastKL = p.Iteration, p.Position, p.Seen, p.LastKL
	t.kl.Coef, t.moments, t.episodes = p.KLCoef, p.Moments, p.Episodes
	return t.estimate()
}
