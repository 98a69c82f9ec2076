package align

import (
	"context"
	"path/filepath"

	"align/internal/host"
	"align/internal/optim"
	"align/internal/runfolder"
	"align/internal/train"
)

// startRun makes the run's folder and writes run.yaml, or finds the run to
// resume.
func (s *stage) startRun(c any) (err error) {
	s.asked = settingsOf(c)
	if s.settings.Resume {
		if err := s.goOn(c); err != nil {
			return err
		}
		return s.checkDisk(host.FreeDisk)
	}
	if err := s.newRun(); err != nil {
		return err
	}
	if err := s.checkDisk(host.FreeDisk); err != nil {
		return err
	}
	return runfolder.WriteSettings(s.run, s.asked)
}

// newRun makes the run's folder and claims it.
func (s *stage) newRun() (err error) {
	if s.run, s.made, err = runfolder.New(s.settings.Out, s.method); err != nil {
		return err
	}
	s.settings.Out = s.run
	s.release, err = runfolder.Claim(s.run, s.env.note)
	return err
}

// options are the loop's.
func (s *stage) options(steps int, lineage map[string]string) train.Options {
	return train.Options{
		Method: s.method, Run: s.run, Steps: steps,
		Schedule:  s.settings.ScheduleOver(steps),
		AdamW:     s.settings.AdamW(),
		SaveEvery: s.saveEvery, EvaluateEvery: s.evalEvery, Keep: s.settings.Keep,
		Best: s.settings.Best, EarlyStop: s.settings.EarlyStop,
		Groups:  s.groups(),
		Lineage: lineage, Resume: s.settings.Resume, Opened: s.keepSettings, Notes: s.env.note,
	}
}

// groups are the learning rates of LoRA+; none where all are alike.
func (s *stage) groups() []optim.Group {
	if s.full != nil && s.settings.WeightDecay > 0 {
		return train.Decayed(s.full)
	}
	if s.adapter == nil || s.settings.LoRAPlusRatio == 1 {
		return nil
	}
	return train.LoRAPlus(s.adapter, 0, 1, s.settings.LoRAPlusRatio)
}

// train hands the method to the loop.
func (s *stage) train(ctx context.Context, o train.Options, source *train.Batches, method train.Method[[]int]) (Result, error) {
	base, err := filepath.Abs(s.base)
	if err != nil {
		return Result{}, err
	}
	var subject train.Subject = &train.LoRA{Model: s.model, Adapter: s.adapter, Base: base, Head: s.head}
	if s.full != nil {
		tokenizer, err := tokenizerParts(s.tokenizer, s.config)
		if err != nil {
			return Result{}, err
		}
		subject = &train.Full{Model: s.model, Full: s.full, Beside: tokenizer}
	}
	report, end, err := s.reporter()
	if err != nil {
		return Result{}, err
	}
	r, err := train.Run(ctx, o, s.backend, subject, source, method, report, s.env.Stop)
	end(r, err)
	if err == nil {
		s.conclude(r)
	}
	return Result{Result: r, Run: s.run}, err
}
