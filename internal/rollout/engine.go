package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"align/internal/device"
	"align/model"
)

// Engine samples from a model, with one adapter at a time or none.
type Engine struct {
	model    *model.Model
	decoding *model.Decoding
	limits   model.CacheOptions
	vocab    int
	context  int
	free     []int32 // pages
	active   []*sequence
	slots    []*sequence // by place in the page table
	batch    model.DecodeBatch
	logits   []float32
	samplers []sampler      // one for each thread
	drawn    []drawn        // of the step under way
	drawing  *model.Drawing // of the device, where it has one for the sampling
	stats    Stats
}

// sequence is a sample under way.
type sequence struct {
	sample Sample
	prompt *prefix
	key    uint64
	slot   int
	pages  []int32
	own    int // positions in the cache
}

// prefix is a prompt whose keys and values are in the cache.
type prefix struct {
	index  int
	ids    []int32
	key    uint64
	pages  []int32
	logits []float32 // after its last token
	left   int       // samples not yet finished
	want   []int     // samples to draw
	next   int       // how many of them are started
}

// New builds an engine for a model. adapter may be nil.
func New(m *model.Model, adapter *model.Adapter, l Limits) (*Engine, error) {
	if l.Prompt < 1 || l.Answer < 1 || l.Sequences < 1 {
		return nil, fmt.Errorf("rollout: limits %+v: want positive numbers", l)
	}
	o := l.Cache(adapter)
	d, err := model.NewDecoding(m, o)
	if err != nil {
		return nil, err
	}
	e := &Engine{model: m, decoding: d, limits: o, vocab: m.Config.VocabSize, context: m.Config.ContextLength, slots: make([]*sequence, o.Sequences)}
	e.samplers = make([]sampler, threadsOf(m.Backend()))
	e.drawn = make([]drawn, o.Sequences)
	for i := range o.Pages {
		e.free = append(e.free, int32(i))
	}
	e.batch.Pages = make([]int32, o.Sequences*o.PagesPerSequence)
	e.batch.Prefix = make([]int32, o.Sequences)
	return e, nil
}

// prefillRows is the number of prompt tokens of one run.
const prefillRows = 256

// Close gives the engine's memory back.
func (e *Engine) Close() { e.decoding.Close() }

// Use has the next answers drawn with another adapter, or with the base alone.
// No weight is read or moved: they are the model's.
func (e *Engine) Use(adapter *model.Adapter) error {
	if err := e.decoding.Use(e.model, adapter); err != nil {
		return fmt.Errorf("rollout: %w", err)
	}
	e.limits.Adapter = adapter
	return nil
}

// Generate answers the prompts and hands each sample to emit as it ends; in
// what order they end depends on their lengths alone.
func (e *Engine) Generate(ctx context.Context, prompts []Prompt, o Options, emit func(Sample) error) error {
	if err := e.check(prompts, o); err != nil {
		return err
	}
	defer e.reset()
	for i := range e.samplers {
		e.samplers[i].Sampling = o.Sampling
	}
	if err := e.startDrawing(o.Sampling); err != nil {
		return err
	}
	defer e.endDrawing()
	var current *prefix
	next := 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		for len(e.active) < e.limits.Sequences {
			if err := ctx.Err(); err != nil { // one prompt after the other, if long, takes its time
				return err
			}
			if current == nil || current.next == len(current.want) {
				for next < len(prompts) && len(prompts[next].want(o.Samples)) == 0 {
					next++
				}
				if next == len(prompts) {
					break
				}
				p, err := e.prefill(prompts[next], next, o)
				if err != nil {
					return err
				}
				if p == nil {
					break // no memory for its pages yet
				}
				current, next = p, next+1
			}
			if len(e.free) < pagesOf(o.room(current.ids)) {
				break // it could not run to its longest end
			}
			if err := e.start(current, o, emit); err != nil {
				return err
			}
		}
		if len(e.active) == 0 {
			return nil
		}
		if err := e.step(o, emit); err != nil {
			return err
		}
	}
}

func (e *Engine) check(prompts []Prompt, o Options) error {
	errs := []error{o.Sampling.Validate()}
	if o.MaxNew < 1 || o.Samples < 1 {
		errs = append(errs, fmt.Errorf("rollout: max_new (%d) and samples (%d) must be at least 1", o.MaxNew, o.Samples))
	}
	for i, p := range prompts {
		if len(p.IDs) == 0 {
			errs = append(errs, fmt.Errorf("rollout: prompt %d is empty", i+1))
		}
		if room := o.room(p.IDs); room < 1 && o.MaxNew > 0 || pagesOf(len(p.IDs))+pagesOf(room) > e.limits.PagesPerSequence || len(p.IDs)+room > e.context {
			errs = append(errs, fmt.Errorf("rollout: prompt %d of %d tokens and %d new ones exceed the context of %d", i+1, len(p.IDs), room, min(e.context, e.limits.PagesPerSequence*device.PageRows)))
		}
	}
	return errors.Join(errs...)
}

// prefill computes a prompt's keys and values, or returns nil where there are
// not enough pages for it and an answer.
func (e *Engine) prefill(p Prompt, index int, o Options) (*prefix, error) {
	need := pagesOf(len(p.IDs))
	if len(e.free) < need+pagesOf(o.room(p.IDs)) {
		return nil, nil
	}
	want := p.want(o.Samples)
	f := &prefix{index: index, ids: p.IDs, key: p.Key, pages: e.take(need), want: want, left: len(want)}
	defer e.stats.prompt(len(p.IDs), time.Now())
	slot := e.freeSlot()
	e.setTable(slot, f.pages, nil, 0)
	for from := 0; from < len(p.IDs); from += e.limits.Rows {
		to := min(from+e.limits.Rows, len(p.IDs))
		b := e.emptyBatch()
		for i := from; i < to; i++ {
			e.addRow(slot, p.IDs[i], i, f.pages, i)
		}
		b.Rows = append(b.Rows, int32(to-from-1))
		logits, err := e.decoding.Decode(e.logits, b)
		if err != nil {
			return nil, err
		}
		e.logits = logits
	}
	f.logits = slices.Clone(e.logits[:e.vocab])
	return f, nil
}

// start begins the next sample of a prompt; its first token comes from the
// prompt's logits.
func (e *Engine) start(p *prefix, o Options, emit func(Sample) error) error {
	index := p.want[p.next]
	s := &sequence{
		sample: Sample{Prompt: p.index, Index: index}, prompt: p, key: SampleKey(o.Seed, p.key, index),
		slot: e.freeSlot(), pages: e.take(pagesOf(o.room(p.ids))),
	}
	p.next++
	e.slots[s.slot] = s
	e.active = append(e.active, s)
	e.setTable(s.slot, p.pages, s.pages, len(p.ids))
	e.logits = append(e.logits[:0], p.logits...)
	return e.extend(s, e.samplers[0].next(s, e.logits), o, emit)
}

// extend adds the token that was drawn to a sample and ends it where that is due.
func (e *Engine) extend(s *sequence, d drawn, o Options, emit func(Sample) error) error {
	if math.IsNaN(d.logProb) {
		return fmt.Errorf("rollout: prompt %d: no token %d can be drawn: its logits are NaN, from weights that are no numbers or activations too large for the precision", s.sample.Prompt+1, len(s.sample.IDs)+1)
	}
	s.sample.IDs = append(s.sample.IDs, d.id)
	s.sample.LogProbs = append(s.sample.LogProbs, d.logProb)
	ended := o.OnToken != nil && o.OnToken(s.sample.Prompt, s.sample.Index, s.sample.IDs)
	switch {
	case ended || slices.Contains(o.Stop, d.id):
		s.sample.Finish = FinishStop
	case len(s.sample.IDs) == o.room(s.prompt.ids):
		s.sample.Finish = FinishLength
	default:
		return nil
	}
	e.end(s)
	return emit(s.sample)
}

// end frees a sample's place and pages, and its prompt's with the last one.
func (e *Engine) end(s *sequence) {
	e.slots[s.slot] = nil
	e.active = slices.DeleteFunc(e.active, func(a *sequence) bool { return a == s })
	e.free = append(e.free, s.pages...)
	if s.prompt.left--; s.prompt.left == 0 {
		e.free = append(e.free, s.prompt.pages...)
	}
}

// step feeds every active sample's last token and draws the next one.
func (e *Engine) step(o Options, emit func(Sample) error) error {
	b := e.emptyBatch()
	running := slices.Clone(e.active)
	for i, s := range running {
		position := len(s.prompt.ids) + s.own
		e.addRow(s.slot, s.sample.IDs[s.own], position, s.pages, s.own)
		s.own++
		b.Rows = append(b.Rows, int32(i))
	}
	if e.drawing != nil {
		return e.stepDrawn(running, o, emit)
	}
	start := time.Now()
	logits, err := e.decoding.Decode(e.logits, b)
	if err != nil {
		return err
	}
	e.logits = logits
	start = e.stats.step(len(running), start)
	e.drawAll(running, logits)
	e.stats.draw(start)
	for i, s := range running {
		if err := e.extend(s, e.drawn[i], o, emit); err != nil {
			return err
		}
	}
	return nil
}
