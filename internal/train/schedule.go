package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/optim"
)

// readBy are the settings that some schedules alone read.
var readBy = []struct {
	key       string
	schedules []string
	value     func(Settings) float64
}{
	{"min_lr_rate", []string{"cosine_with_min_lr", "polynomial", "warmup_stable_decay"}, func(s Settings) float64 { return s.MinLRRate }},
	{"num_cycles", []string{"cosine_with_restarts"}, func(s Settings) float64 { return float64(s.NumCycles) }},
	{"power", []string{"polynomial"}, func(s Settings) float64 { return s.Power }},
	{"decay", []string{"warmup_stable_decay"}, func(s Settings) float64 { return s.Decay }},
}

// WarmedConstant is Transformers' name for constant where it has a warm-up, which
// is a setting of its own here.
const WarmedConstant = "constant_with_warmup"

// ScheduleOver is the schedule of a run of so many steps. What its kind does not
// read is left out, so that it is no change to a run that is resumed.
func (s Settings) ScheduleOver(steps int) optim.Schedule {
	o := optim.Schedule{Kind: s.Schedule, LearningRate: s.LearningRate, Warmup: s.Warmup, Steps: steps}
	switch s.Schedule {
	case WarmedConstant:
		o.Kind = "constant"
	case "cosine_with_min_lr":
		o.MinRate = s.MinLRRate
	case "cosine_with_restarts":
		o.Cycles = s.NumCycles
	case "polynomial":
		o.MinRate, o.Power = s.MinLRRate, s.Power
	case "warmup_stable_decay":
		o.MinRate, o.Decay = s.MinLRRate, s.Decay
	}
	return o
}

// checkSchedule refuses a schedule's setting out of its range, or beside a
// schedule that does not read it.
func (s Settings) checkSchedule() error {
	errs := []error{
		oneOf("schedule", s.Schedule), belowOne("min_lr_rate", s.MinLRRate), atLeast("num_cycles", s.NumCycles, 1),
		positive("power", s.Power, false), shareOrSteps("decay", s.Decay),
	}
	for _, r := range readBy {
		read := slices.Contains(r.schedules, s.Schedule) || errs[0] != nil
		if !read && r.value(s) != r.value(DefaultSettings()) {
			errs = append(errs, fmt.Errorf("%s: %v has no effect with the schedule %s: it is of %s; leave it at %v", r.key, r.value(s), s.Schedule, strings.Join(r.schedules, ", "), r.value(DefaultSettings())))
		}
	}
	if s.Schedule == "cosine_with_min_lr" && s.MinLRRate == 0 {
		errs = append(errs, errors.New("schedule cosine_with_min_lr takes min_lr_rate, the least rate as a share of learning_rate, as 0.1"))
	}
	return errors.Join(errs...)
}
