package align

import (
	"context"

	"align/internal/bench"
	"align/internal/cost"
	"align/internal/device"
	"align/internal/exec"
	"align/model"
)

// speed measures how fast this machine makes the run's passes, in about two seconds.
func (s *stage) speed(ctx context.Context, save exec.SavePolicy, w *workload) (bench.Speed, error) {
	p, err := s.planned()
	if err != nil {
		return bench.Speed{}, err
	}
	return p.Calibrate(ctx, save, w.meanPack())
}

// planned is the run, as far as its speed hangs on it.
func (s *stage) planned() (bench.Planned, error) {
	stored, err := s.commonType()
	return bench.Planned{
		Compute: s.compute(), Backend: s.backend, Act: s.act, Config: s.config, Stored: stored, Full: s.settings.Full,
		LoRA: model.LoRAConfig{Rank: s.settings.Rank, Alpha: s.settings.Alpha, Dropout: s.settings.Dropout, DoRA: s.settings.DoRA},
	}, err
}

// commonType is the type that random weights have in the place of the model's.
func (s *stage) commonType() (device.Type, error) {
	if s.base == "" { // a model from nothing
		return device.F32, nil
	}
	bytes, err := model.WeightBytes(s.base, "", s.act, s.matrixType, nil)
	if err != nil || float64(bytes) > 3*float64(s.config.Parameters()) {
		return device.F32, err
	}
	return device.BF16, nil
}

// measureDecode is the time of a step that draws a token of every sequence; 0 where a
// server draws.
func (s *stage) measureDecode(ctx context.Context, d *draws) (seconds float64, err error) {
	if d.sequences == 0 {
		return 0, nil
	}
	p, err := s.planned()
	if err != nil {
		return 0, err
	}
	return p.DecodeSeconds(ctx, d.sequences, d.longest+d.maxNew/2)
}

// sampleSeconds is the time of drawing all answers once; 0 where a server does.
func (s *stage) sampleSeconds(v bench.Speed, d *draws, step float64) float64 {
	if d.sequences == 0 {
		return 0
	}
	var prompts cost.Work
	for _, n := range d.prompts {
		prompts.Add(cost.Work{Tokens: float64(n), Targets: 1, Pairs: cost.Causal(n, 0)})
	}
	return v.ForwardSeconds(cost.Of(s.config, nil), prompts) + d.decodeSteps()*step
}
