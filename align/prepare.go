package align

import (
	"context"

	"align/datasets"
	"align/internal/exec"
	"align/internal/plan"
	"align/internal/train"
)

// course is how a run goes through its data.
type course struct {
	order  *datasets.Order
	steps  int
	policy exec.SavePolicy
}

// prepare settles the course of the data, loads the model and begins the run's
// folder. What is what the records are called; c is the method's config.
func prepare[T any](s *stage, c any, d *data[T], what string, extents func([]T) []plan.Extent) (w course, err error) {
	if w.order, w.steps, err = s.order(len(d.train), what); err != nil {
		return w, err
	}
	if w.policy, err = s.savePolicy(extents(d.train), extents(d.held), w.steps); err != nil {
		return w, err
	}
	if err := s.sameData(d.hash, w.steps); err != nil {
		return w, err
	}
	if err := s.load(); err != nil {
		return w, err
	}
	if err := s.startRun(c); err != nil {
		return w, err
	}
	return w, d.quarantine.keep(s.run)
}

// savePolicy sizes the run before its weights are read, and is what it keeps of the
// forward pass.
func (s *stage) savePolicy(train, held []plan.Extent, steps int) (exec.SavePolicy, error) {
	t, err := s.trained()
	if err != nil {
		return "", err
	}
	return s.sized().SavePolicy(t, train, held, steps)
}

// sized is what a plan goes by.
func (s *stage) sized() *plan.Stage {
	return &plan.Stage{
		Method: s.method, Settings: s.settings, Compute: s.compute(), Backend: s.backend, Act: s.act, Base: s.base, Config: s.config,
		Head: s.head, Noise: s.noise, Shares: s.shares, EvalEvery: s.evalEvery, Calibration: s.env.Calibration, Note: s.env.note,
	}
}

// trainer is a method that learns from records by their places in the data.
type trainer interface {
	train.Method[[]int]
	Weigh(indices []int) (weight float64, tokens int64)
}

// learn trains by the course; hash is the data's.
func (s *stage) learn(ctx context.Context, c any, hash string, w course, t trainer) (Result, error) {
	source := &train.Batches{Order: w.order, PerMicro: s.settings.Batch, Weigh: t.Weigh}
	return s.train(ctx, s.options(w.steps, s.lineage(c, hash)), source, t)
}
