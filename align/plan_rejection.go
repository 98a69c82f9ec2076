package align

import (
	"context"
	"fmt"

	"align/internal/cost"
	"align/internal/exec"
	"align/internal/host"
	"align/internal/train"
	"align/model"
	"align/rejection"
)

// PlanRejection plans what Rejection would run, as PlanPPO does.
func PlanRejection(ctx context.Context, c rejection.Config, env Environment) (*Plan, error) {
	p, _, err := planRejection(ctx, c, env, nil)
	return p, err
}

// planRejection is PlanRejection as planPPO is PlanPPO. It returns what would be
// drawn, too.
func planRejection(ctx context.Context, c rejection.Config, env Environment, fresh *train.Settings) (*Plan, *draws, error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	p := newPlan("rejection", &env)
	s := rejectionStage(c, env)
	defer s.close()
	if err := s.open(); err != nil {
		return nil, nil, err
	}
	prompts, longest, err := readPrompts(ctx, c.Prompts, c.Map, c.Scorer, answerable(s.template, s.config), env)
	if err != nil {
		return nil, nil, err
	}
	most, err := roomFor(c.MaxNew, lengthsOf(prompts), s.config.ContextLength, env)
	if err != nil {
		return nil, nil, err
	}
	d := rejectionDraws(c, prompts, longest, most)
	d.fresh = fresh
	return p, d, s.planRejection(ctx, p, d)
}

func (s *stage) planRejection(ctx context.Context, p *Plan, d *draws) error {
	f, err := s.sizeRejection(d)
	if err != nil {
		return err
	}
	w := &workload{examples: len(d.prompts), packs: 1, sequences: d.pack(512).Sequences, train: d.pack(512).work(), longest: d.longest + d.maxNew}
	p.Parameters, p.Examples, p.Samples = s.config.Parameters(), len(d.prompts), d.answers()
	p.Tokens = int64(d.work().Tokens)
	if err := p.memory(s, trained{}, f, w, ""); err != nil {
		return err
	}
	if err := s.fitRejection(d); err != nil {
		return err
	}
	if s.cardless() {
		return nil
	}
	v, err := s.speed(ctx, exec.SaveNone, w)
	if err != nil {
		return err
	}
	step, err := s.measureDecode(ctx, d)
	if err != nil {
		return err
	}
	p.Sampling = s.sampleSeconds(v, d, step) + scored(d)*v.ForwardSeconds(cost.Of(s.config, nil), d.work())
	p.Seconds, p.TokensPerSecond = p.Sampling, float64(d.answers()*d.maxNew)/max(p.Sampling, 1e-9)
	if p.Seconds > longRun.Seconds() {
		p.shortenSampling("--k, --max-new or the number of prompts")
	}
	return nil
}

// rejectionStage is a stage that opens what a job of rejection does.
func rejectionStage(c rejection.Config, env Environment) *stage {
	settings := train.DefaultSettings()
	settings.Model, settings.Quantize, settings.Adapter, settings.Template = c.Model, c.Quantize, c.Adapter, c.Template
	settings.Device, settings.Precision, settings.Memory, settings.Threads, settings.Seed = c.Device, c.Precision, c.Memory, c.Threads, c.Seed
	return &stage{method: "rejection", settings: &settings, env: env, explicit: []string{"learning_rate", "eval_every"}}
}

// rejectionDraws is what a job with the prompts samples, answers of so many tokens at
// most; of a shard its share.
func rejectionDraws(c rejection.Config, prompts []rejection.Prompt, longest, most int) *draws {
	d := &draws{longest: longest, k: c.K, maxNew: most, sequences: c.Sequences, judge: judge{c.Reward, c.Scorer}}
	if c.Generator != "" {
		d.sequences = 0
	}
	of := 1
	if c.Shard != "" {
		var i int
		_, _ = fmt.Sscanf(c.Shard, "%d/%d", &i, &of) // Validate has read it
	}
	for i := 0; i < len(prompts); i += of {
		d.prompts = append(d.prompts, len(prompts[i].IDs))
	}
	return d
}

// sizeRejection sizes a job: weights, adapter, engine and scorer.
func (s *stage) sizeRejection(d *draws) (*footprint, error) {
	t := trained{}
	f := &footprint{process: s.process(samplingBytes), sessions: map[exec.SavePolicy]sessionBytes{}}
	if s.settings.Adapter != "" {
		var err error
		if t, err = s.trained(); err != nil {
			return nil, err
		}
		f.adapter = 2 * int64(t.elements()) * int64(s.act.Wide().Size()) // value and gradient
	}
	if s.model == nil {
		var err error
		if f.weights, err = model.WeightBytes(s.base, s.settings.Quantize, s.act, s.matrixType, s.reserved()); err != nil {
			return nil, err
		}
	}
	if err := s.engine(f, t.adapter, d); err != nil {
		return nil, err
	}
	return f, s.scorer(f, d)
}

// checkRejection sizes a job before its weights are read, refuses what does not
// fit and tells the memory.
func (s *stage) checkRejection(d *draws) error {
	if err := s.fitRejection(d); err != nil {
		return err
	}
	f, err := s.sizeRejection(d)
	if err != nil {
		return err
	}
	s.env.note(fmt.Sprintf("memory: about %s, %s of them keys and values of %d answers at once", host.FormatSize(f.process+f.fixed()+s.scratch(f.kernels)), host.FormatSize(f.cache), d.sequences))
	return nil
}

// fitRejection refuses a job that does not fit.
func (s *stage) fitRejection(d *draws) error {
	if d.sequences == 0 {
		return nil
	}
	return s.fitSequences(d, func(sequences int) (int64, error) {
		with := *d
		with.sequences = sequences
		f, err := s.sizeRejection(&with)
		if err != nil {
			return 0, err
		}
		return f.fixed() + s.scratch(f.kernels), nil
	})
}
