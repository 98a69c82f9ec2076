package plan

import (
	"context"

	"align/internal/bench"
	"align/internal/cost"
	"align/internal/device"
	"align/internal/exec"
	"align/model"
)

// speed measures how fast this machine makes the run's passes.
func (s *Stage) speed(ctx context.Context, save exec.SavePolicy, w *workload) (bench.Speed, error) {
	p, err := s.planned()
	if err != nil {
		return bench.Speed{}, err
	}
	return p.Calibrate(ctx, save, w.meanPack())
}

// planned is the run, as far as its speed hangs on it.
func (s *Stage) planned() (bench.Planned, error) {
	stored, err := s.commonType()
	return bench.Planned{
		Compute: s.Compute, Backend: s.Backend, Act: s.Act, Config: s.Config, Stored: stored, Full: s.Settings.Full,
		LoRA:        model.LoRAConfig{Rank: s.Settings.Rank, Alpha: s.Settings.Alpha, Dropout: s.Settings.Dropout, DoRA: s.Settings.DoRA},
		Calibration: s.Calibration,
	}, err
}

// commonType is the type that random weights have in the place of the model's.
func (s *Stage) commonType() (device.Type, error) {
	if s.Base == "" { // a model from nothing
		return device.F32, nil
	}
	bytes, err := model.WeightBytes(s.Base, "", s.Act, s.matrixType, nil)
	if err != nil || float64(bytes) > 3*float64(s.Config.Parameters()) {
		return device.F32, err
	}
	return device.BF16, nil
}

// measureDecode is the time of a step that Draws a token of every sequence; 0 where a
// server draws.
func (s *Stage) measureDecode(ctx context.Context, d *Draws) (seconds float64, err error) {
	if d.sequences == 0 {
		return 0, nil
	}
	p, err := s.planned()
	if err != nil {
		return 0, err
	}
	return p.DecodeSeconds(ctx, d.sequences, d.longest+d.MaxNew/2)
}

// sampleSeconds is the time of drawing all answers once; 0 where a server does.
func (s *Stage) sampleSeconds(v bench.Speed, d *Draws, step float64) float64 {
	if d.sequences == 0 {
		return 0
	}
	var prompts cost.Work
	for _, n := range d.Prompts {
		prompts.Add(cost.Work{Tokens: float64(n), Targets: 1, Pairs: cost.Causal(n, 0)})
	}
	return v.ForwardSeconds(cost.Of(s.Config, nil), prompts) + d.decodeSteps()*step
}
