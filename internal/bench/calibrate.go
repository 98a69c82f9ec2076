package bench

import (
	"cmp"
	"context"
	"errors"
	"time"

	"align/internal/compute"
	"align/internal/cost"
	"align/internal/device"
	"align/internal/exec"
	"align/model"
)

// Planned is a run that is planned, as far as its speed hangs on it. What is measured
// has its widths and random weights.
type Planned struct {
	Compute compute.Settings // with the precision settled
	Backend compute.Backend
	Act     device.Type // of activations
	Config  model.Config
	// Stored is the type that most of its weights have.
	Stored device.Type
	// Full says that all weights are trained; else an adapter is, with the rank, alpha
	// and dropout of LoRA, on all linear layers.
	Full bool
	LoRA model.LoRAConfig
	// Calibration is how long Calibrate runs steps; 0 takes two seconds.
	Calibration time.Duration
}

// Pack is an average pack of a run: the work of one, of so many sequences.
type Pack struct {
	cost.Work
	Sequences int
}

// Calibration takes about calibrationTime unless told otherwise, and more where one step
// does: at least calibrationSteps of every model, each of what the peak rate does in
// calibrationStep. A pack is cut to that, though short packs run slower: what a
// step does once for a weight has fewer tokens to share it.
const (
	calibrationTime  = 2 * time.Second
	calibrationStep  = calibrationTime / 5
	calibrationSteps = 2
)

// calibrationVocab bounds the vocabulary of the calibrating models: the head's
// speed does not depend on more.
const calibrationVocab = 32768

// Calibrate runs real steps of models with the run's widths but one and two layers, on
// packs like the run's, by turns: what the second layer adds is the layers' speed, what is
// left of the first is the rest's.
func (p Planned) Calibrate(ctx context.Context, save exec.SavePolicy, pack Pack) (Speed, error) {
	r, err := newRates(p.Compute)
	if err != nil {
		return Speed{}, err
	}
	r.measureArithmetic()
	span := cmp.Or(p.Calibration, calibrationTime)
	var samples [2]sample
	for i := range samples {
		defer samples[i].close()
		samples[i].threads = r.threads
		if err := samples[i].open(p, i+1, save, pack, r.flops); err != nil {
			return Speed{}, err
		}
	}
	for i := range samples {
		if err := samples[i].warm(span); err != nil {
			return Speed{}, err
		}
	}
	for start := time.Now(); len(samples[0].times.wall) < calibrationSteps || time.Since(start) < span; {
		for i := range samples {
			if err := errors.Join(ctx.Err(), samples[i].step()); err != nil {
				return Speed{}, err
			}
		}
	}
	v := speedOf(&samples[0], &samples[1], r.flops)
	return v, p.attention(ctx, &v, samples[1].size, save, pack)
}

// maxAttended bounds the sequence that attention alone is measured on: its rate
// hardly grows beyond.
const maxAttended = 2048

// attention measures attention by itself where the run's sequences are longer
// than the calibrating ones.
func (p Planned) attention(ctx context.Context, v *Speed, measured cost.Work, save exec.SavePolicy, pack Pack) error {
	v.mix = measured.Pairs / measured.Tokens
	if pack.Pairs <= 1.05*v.mix*pack.Tokens {
		return nil
	}
	r, err := newRates(p.Compute)
	if err != nil {
		return err
	}
	o := DefaultOptions()
	o.Batch, o.Length = 1, min(int(2*pack.Pairs/pack.Tokens), maxAttended)
	b := bench{options: o, config: p.Config, backend: p.Backend, act: p.Act, rates: r}
	forward, backward, flops, err := b.attend(ctx)
	if err != nil {
		return err
	}
	v.attend = flops / quietSeconds(forward.wall, forward.core, r.threads)
	v.attendBack = 2 * flops / quietSeconds(backward.wall, backward.core, r.threads)
	if save == exec.SaveNone || save == exec.SaveTiled {
		v.again = 1
	}
	return nil
}
