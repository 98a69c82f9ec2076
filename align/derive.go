package align

import (
	"context"
	"fmt"
	"slices"

	"align/dpo"
	"align/internal/basemodel"
	"align/internal/builtin"
	"align/internal/config"
	"align/internal/host"
	"align/internal/runfolder"
	"align/internal/train"
	"align/model"
	"align/sft"
)

// What the model inside the program trains with: 1.4 million weights learn at a
// higher rate than a real model's, and evaluating costs next to nothing.
const (
	builtinRate      = 1e-3
	builtinEvalEvery = 12 // steps
)

// fullRates are the learning rates of all weights, which move less than an
// adapter's: TRL's defaults.
var fullRates = map[string]float64{"sft": 2e-5, "dpo": 1e-6}

// Unnamed is the model to take where none was named, and why: the base of the first
// of the adapters that names one which is here, or else the one inside the program.
func Unnamed(ctx context.Context, adapters ...string) (name, reason string) {
	for _, adapter := range adapters {
		if name := ownBase(ctx, adapter); name != "" {
			return name, "the base of " + adapter
		}
	}
	return builtin.Name, "the one inside the program"
}

// ownBase is the base model that an adapter was trained on; "" where it is not here.
func ownBase(ctx context.Context, adapter string) string {
	if adapter == "" || adapter == BaseAlone {
		return ""
	}
	folder, err := runfolder.AdapterFolderUntil(ctx, adapter)
	if err != nil {
		return ""
	}
	base, err := model.AdapterBase(folder)
	if err != nil || base == "" {
		return ""
	}
	if inside, err := builtin.Dir(host.CacheDir()); err == nil && basemodel.Same(base, inside) {
		return builtin.Name
	}
	if _, err := basemodel.ResolveUntil(ctx, base); err != nil {
		return ""
	}
	return base
}

// deriveModel takes the adapter's base, or the model inside the program, where none
// is named.
func (s *stage) deriveModel(ctx context.Context) {
	if s.settings.Model == "" {
		var reason string
		s.settings.Model, reason = Unnamed(ctx, s.settings.Adapter)
		s.env.note(fmt.Sprintf("model: %s, %s (none was named)", s.settings.Model, reason))
	}
	switch {
	case s.settings.Full:
		s.noteAdapterOnly()
		s.deriveRate(fullRates[s.method], "all weights are trained")
	case s.settings.Model == builtin.Name:
		s.deriveRate(builtinRate, "for the small model inside the program")
		if s.settings.EvalEvery.IsZero() && !slices.Contains(s.explicit, "eval_every") {
			s.settings.EvalEvery = train.EverySteps(builtinEvalEvery)
		}
	}
}

// noteAdapterOnly tells of an adapter's settings that were asked for where there is
// none: above all a dropout that drops nothing.
func (s *stage) noteAdapterOnly() {
	usual := dpo.DefaultConfig().Settings
	if s.method == "sft" {
		usual = sft.DefaultConfig().Settings
	}
	fields := config.Fields(s.settings)
	for i, f := range config.Fields(&usual) {
		ofAdapter := slices.Contains([]string{"rank", "alpha", "dropout", "targets", "layers", "rslora"}, f.Key)
		if asked := fields[i].String(); ofAdapter && slices.Contains(s.explicit, f.Key) && asked != f.String() {
			s.env.note(fmt.Sprintf("%s: %s has no effect, as all weights are trained: it is of an adapter", f.Key, asked))
		}
	}
}

// deriveRate sets the learning rate where the user did not.
func (s *stage) deriveRate(rate float64, reason string) {
	if rate == 0 || s.settings.Resume || slices.Contains(s.explicit, "learning_rate") || s.settings.LearningRate == rate {
		return
	}
	s.settings.LearningRate = rate
	s.env.note(fmt.Sprintf("learning_rate: %g (%s)", rate, reason))
}

// noteWarmup says where a run ends before its rate is what was asked for, or where half
// of its steps or more move nothing: the first of a warm-up has rate 0, which is all or
// much of a short run.
func (s *stage) noteWarmup(steps int) {
	schedule := s.settings.ScheduleOver(steps)
	warmup, most := schedule.WarmupSteps(), schedule.At(steps)
	still := 0
	for step := 1; step <= min(steps, warmup) && schedule.At(step) == 0; step++ {
		still++
	}
	switch {
	case warmup == 0 || schedule.LearningRate == 0:
	case still == steps:
		s.env.note(fmt.Sprintf("warmup: the learning rate is 0 in all of %d steps and nothing is learnt: --warmup 0, or more steps", steps))
	case warmup >= steps:
		s.env.note(fmt.Sprintf("warmup: %d steps, and the run has %d: the learning rate gets to %.3g, never to %.3g", warmup, steps, most, schedule.LearningRate))
	case 2*still >= steps:
		s.env.note(fmt.Sprintf("warmup: the learning rate is 0 in %d of %d steps, which learn nothing: --warmup 0, or more steps", still, steps))
	}
}

// noteEarlyStop says so where early_stop ends no run: the first evaluation after a step
// is the best so far, so that one more than early_stop must come before the last step.
func (s *stage) noteEarlyStop(steps int) {
	within := 0
	if s.evalEvery > 0 {
		within = (steps - 1) / s.evalEvery
	}
	if s.settings.EarlyStop > 0 && within <= s.settings.EarlyStop {
		s.env.note(fmt.Sprintf("early_stop: %d never ends this run, which is evaluated %d times on its way (eval_every %d of %d steps)", s.settings.EarlyStop, within, s.evalEvery, steps))
	}
}
