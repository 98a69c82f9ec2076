package plan

import (
	"errors"
	"fmt"

	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/cost"
	"align/internal/exec"
	"align/internal/host"
	"align/internal/rollout"
	"align/internal/score"
	"align/internal/train"
	"align/model"
	"align/reward"
)

// Draws are what a run samples: answers to prompts, each as long as it may be.
type Draws struct {
	Prompts []int // tokens of each
	longest int
	k       int // answers to each
	MaxNew  int
	// sequences are drawn at once; 0: by a server.
	sequences int
	// reward is the reward model that scores; "" for a rule.
	reward string
	// Fresh are the settings of a reward model that is to be trained first, on
	// the run's base; nil for none.
	Fresh *train.Settings
}

// answers is how many are drawn in all.
func (d *Draws) answers() int { return len(d.Prompts) * d.k }

// engine adds what sampling takes: the session, and the keys and values.
func (s *Stage) engine(f *footprint, a *model.Adapter, d *Draws) error {
	if d.sequences == 0 {
		return nil
	}
	o := rollout.Limits{Prompt: d.longest, Answer: d.MaxNew, Sequences: d.sequences}.Cache(a)
	o.Device = s.Backend
	size, err := model.DecodingSize(s.Config, s.Act, o)
	if err != nil {
		return err
	}
	f.cache = int64(o.Pages) * s.Config.CacheBytes(s.Act)
	f.rollout = size.Bytes - f.cache
	f.kernels = append(f.kernels, size.Kernels...)
	// The logits of a step's rows are read back and kept for the next draw.
	f.rollout += 2 * 4 * int64(o.Rows) * int64(s.Config.VocabSize)
	return nil
}

// scorer adds what a reward model takes: a base of its own unless it shares the
// run's, its adapter and its session.
func (s *Stage) scorer(f *footprint, d *Draws) error {
	if d.Fresh != nil {
		shape, err := d.Fresh.LoRA(s.Config.NumLayers)
		if err != nil {
			return err
		}
		a, err := model.NewAdapter(s.Config, shape)
		if err != nil {
			return err
		}
		a.AddHead(s.Config)
		return s.addScorer(f, s.Config, a, d)
	}
	if d.reward == "" {
		return nil
	}
	base, err := reward.Base(d.reward)
	if err != nil {
		return err
	}
	quantize, err := reward.Quantize(d.reward)
	if err != nil {
		return err
	}
	config := s.Config
	if !basemodel.Same(base, s.Base) || quantize != s.Settings.Quantize {
		if config, err = model.ReadConfig(base); err != nil {
			return err
		}
		if f.scorer, err = model.WeightBytes(base, quantize, s.Act, s.matrixType, s.reserved()); err != nil {
			return err
		}
	}
	a, err := reward.Layout(d.reward, config)
	if err != nil {
		return err
	}
	return s.addScorer(f, config, a, d)
}

// addScorer adds a scorer's adapter and session on a base.
func (s *Stage) addScorer(f *footprint, config model.Config, a *model.Adapter, d *Draws) error {
	pack := d.pack(score.PackTokens)
	pack.Targets = pack.Sequences
	scorer, err := model.NewScorer(config, s.Act, model.DecoderOptions{Capacity: pack.Rounded(), Adapter: a, Device: s.Backend})
	if err != nil {
		return err
	}
	size, err := scorer.SessionSize(nil, scorer.Scores)
	if err != nil {
		return err
	}
	f.scorer += 2 * int64(a.Len) * int64(s.Act.Wide().Size())
	f.passes = append(f.passes, size.Bytes)
	f.kernels = append(f.kernels, size.Kernels...)
	return nil
}

// pack is the largest pack of answers, those to one prompt sharing it, of about
// so many tokens.
func (d *Draws) pack(tokens int) (e Extent) {
	for i := range d.answers() {
		one := AnswersExtent(d.longest, d.MaxNew)
		if i%d.k != 0 { // the prompt is there
			one.Tokens -= d.longest
		}
		if i > 0 && e.Tokens+one.Tokens > tokens {
			break
		}
		e = e.join(one)
	}
	return e
}

// work is that of one pass over all answers, prompts that are shared once.
func (d *Draws) work() (w cost.Work) {
	for _, n := range d.Prompts {
		answers := make([]int, d.k)
		for i := range answers {
			answers[i] = d.MaxNew
		}
		w.Add(AnswersExtent(n, answers...).work())
	}
	return w
}

// decodeSteps is the number of times that every sequence under way is extended
// by a token.
func (d *Draws) decodeSteps() float64 {
	rounds := (d.answers() + d.sequences - 1) / d.sequences
	return float64(rounds * d.MaxNew)
}

// fitSequences refuses what does not fit the memory, naming the largest number
// of sequences that does. need is everything for so many.
func (s *Stage) fitSequences(d *Draws, need func(sequences int) (int64, error)) error {
	memory, err := compute.Available(s.Backend)
	if errors.Is(err, host.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	asked, err := need(d.sequences)
	if err != nil || float64(asked) <= headroom*float64(memory) {
		return err
	}
	for n := d.sequences / 2; n >= 1; n /= 2 {
		if less, err := need(n); err == nil && float64(less) <= headroom*float64(memory) {
			return fmt.Errorf("memory: %s needed with sequences %d, %s available: --sequences %d fits", host.FormatSize(asked), d.sequences, host.FormatSize(memory), n)
		}
	}
	return fmt.Errorf("memory: %s needed, %s available: use shorter answers (--max-new), a smaller model or --quantize nf4", host.FormatSize(asked), host.FormatSize(memory))
}

// forward adds a program without gradients over the largest pack.
func (s *Stage) forward(f *footprint, t Trained, c model.Capacity) error {
	size, err := s.sessionSize(t, c, exec.SaveNone, false)
	f.passes = append(f.passes, size.Bytes)
	f.kernels = append(f.kernels, size.Kernels...)
	return err
}

// sampled is what samples and scores takes beside the training session.
func (f *footprint) sampled() int64 {
	if f.turns {
		return f.scorer + f.reference
	}
	return f.scorer + f.reference + f.rollout + f.cache + f.pass()
}

// pass is what sessions without gradients take.
func (f *footprint) pass() (n int64) {
	for _, p := range f.passes {
		n += p
	}
	return n
}
