package plan

import (
	"fmt"
	"time"

	"align/internal/bench"
	"align/internal/cost"
)

// LongRun is the time from which a plan says what would shorten it.
const LongRun = time.Hour

func (p *Plan) time(s *Stage, t Trained, w *workload, v bench.Speed, referenced bool) {
	x := cost.Of(s.Config, t.Adapter)
	if t.Full != nil {
		x = x.Full()
	}
	training := v.TrainSeconds(x, w.train)
	evaluations := 2
	if n := s.EvalEvery; n > 0 {
		evaluations += (w.steps - 1) / n
	}
	p.Evaluating = float64(evaluations) * v.ForwardSeconds(x, w.evaluation)
	if referenced {
		p.Reference = v.ForwardSeconds(cost.Of(s.Config, nil), w.referenced)
	}
	p.Seconds = training + p.Evaluating + p.Reference
	p.TokensPerSecond = w.train.Tokens / training
	if p.Seconds > LongRun.Seconds() {
		p.shorten(s, w, x, v)
	}
}

// shortenSampling says which settings shorten a long run that samples.
func (p *Plan) shortenSampling(settings string) {
	p.Warnings = append(p.Warnings,
		"the run takes more than an hour",
		fmt.Sprintf("less of %s shortens it; drawing and scoring answers takes %.0f%% of it where all are as long as they may be", settings, 100*p.Sampling/p.Seconds))
}

// shorten says what would bring a long run down.
func (p *Plan) shorten(s *Stage, w *workload, x cost.Model, v bench.Speed) {
	warn := func(format string, args ...any) { p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...)) }
	warn("the run takes more than an hour")
	perStep := v.TrainSeconds(x, w.train) / float64(w.steps)
	if n := int((LongRun.Seconds() - p.Reference - p.Evaluating) / perStep); n >= 1 {
		warn("--steps %d takes about an hour", n)
	}
	if s.Settings.Layers == "" && s.Config.NumLayers > 1 && !s.Settings.Full {
		warn("--layers %d-%d, an adapter on the upper half, takes %.0f%% of a step's time",
			s.Config.NumLayers/2, s.Config.NumLayers-1, 100*v.TrainSeconds(x.UpperHalf(), w.train)/v.TrainSeconds(x, w.train))
	}
	warn("half the tokens, by --max-length below the longest of %d or by less data, take half the time; a base of half the size as well", w.longest)
	if w.train.Targets > 0.9*w.train.Tokens {
		marked := w.train
		marked.Targets = marked.Tokens / 4
		warn("data that marks the answers, so that they alone carry loss, takes %.0f%% of it",
			100*v.TrainSeconds(x, marked)/v.TrainSeconds(x, w.train))
	}
}
