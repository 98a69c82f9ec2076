package plan

import (
	"context"
	"fmt"

	"align/internal/cost"
	"align/internal/exec"
	"align/internal/host"
	"align/model"
	"align/rejection"
)

// Rejection plans a job of rejection that samples d by the adapter t, or by the model
// alone.
func (p *Plan) Rejection(ctx context.Context, s *Stage, t Trained, d *Draws) error {
	f, err := s.sizeRejection(t, d)
	if err != nil {
		return err
	}
	w := &workload{examples: len(d.Prompts), packs: 1, sequences: d.pack(512).Sequences, train: d.pack(512).work(), longest: d.longest + d.MaxNew}
	p.Parameters, p.Examples, p.Samples = s.Config.Parameters(), len(d.Prompts), d.answers()
	p.Tokens = int64(d.work().Tokens)
	if err := p.memory(s, Trained{}, f, w, ""); err != nil {
		return err
	}
	if err := s.fitRejection(t, d); err != nil {
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
	p.Sampling = s.sampleSeconds(v, d, step) + scored(d)*v.ForwardSeconds(cost.Of(s.Config, nil), d.work())
	p.Seconds, p.TokensPerSecond = p.Sampling, float64(d.answers()*d.MaxNew)/max(p.Sampling, 1e-9)
	if p.Seconds > LongRun.Seconds() {
		p.shortenSampling("--k, --max-new or the number of prompts")
	}
	return nil
}

// RejectionDraws is what a job with the prompts samples, answers of so many tokens at
// most; of a shard its share.
func RejectionDraws(c rejection.Config, prompts []rejection.Prompt, longest, most int) *Draws {
	d := &Draws{longest: longest, k: c.K, MaxNew: most, sequences: c.Sequences, reward: c.Reward}
	if c.Generator != "" {
		d.sequences = 0
	}
	of := 1
	if c.Shard != "" {
		var i int
		_, _ = fmt.Sscanf(c.Shard, "%d/%d", &i, &of) // Validate has read it
	}
	for i := 0; i < len(prompts); i += of {
		d.Prompts = append(d.Prompts, len(prompts[i].IDs))
	}
	return d
}

// sizeRejection sizes a job: weights, adapter, engine and scorer.
func (s *Stage) sizeRejection(t Trained, d *Draws) (*footprint, error) {
	f := &footprint{process: s.process(samplingBytes), sessions: map[exec.SavePolicy]sessionBytes{}}
	if t.Adapter != nil {
		f.adapter = 2 * int64(t.elements()) * int64(s.Act.Wide().Size()) // value and gradient
	}
	var err error
	if f.weights, err = model.WeightBytes(s.Base, s.Settings.Quantize, s.Act, s.matrixType, s.reserved()); err != nil {
		return nil, err
	}
	if err := s.engine(f, t.Adapter, d); err != nil {
		return nil, err
	}
	return f, s.scorer(f, d)
}

// CheckRejection sizes a job before its weights are read, refuses what does not
// fit and tells the memory.
func (s *Stage) CheckRejection(t Trained, d *Draws) error {
	if err := s.fitRejection(t, d); err != nil {
		return err
	}
	f, err := s.sizeRejection(t, d)
	if err != nil {
		return err
	}
	s.Note(fmt.Sprintf("memory: about %s, %s of them keys and values of %d answers at once", host.FormatSize(f.process+f.fixed()+s.scratch(f.kernels)), host.FormatSize(f.cache), d.sequences))
	return nil
}

// fitRejection refuses a job that does not fit.
func (s *Stage) fitRejection(t Trained, d *Draws) error {
	if d.sequences == 0 {
		return nil
	}
	return s.fitSequences(d, func(sequences int) (int64, error) {
		with := *d
		with.sequences = sequences
		f, err := s.sizeRejection(t, &with)
		if err != nil {
			return 0, err
		}
		return f.fixed() + s.scratch(f.kernels), nil
	})
}
