package bench

import (
	"context"
	"errors"
	"math/rand/v2"

	"align/internal/cost"
	"align/internal/device"
	"align/model"
)

// decode measures generation: the prompts of a batch in one run, then one token
// of every sequence at a time, the likeliest one. Prompts are not shared.
func (b *bench) decode(ctx context.Context) error {
	m, err := b.model()
	if err != nil {
		return err
	}
	defer m.Close()
	o := b.options
	g, err := newGenerator(m, o)
	if err != nil {
		return err
	}
	defer g.close()
	var prefill, steps timing
	for i := range o.Warmup + o.Steps {
		if i == o.Warmup {
			prefill, steps = timing{}, timing{}
		}
		if err := prefill.add(g.prefill); err != nil {
			return err
		}
		if err := steps.add(func() error { return g.answers(ctx) }); err != nil {
			return err
		}
		b.env.progress("measuring decode")(int64(i+1), int64(o.Warmup+o.Steps))
	}
	peak := b.peak() // before the reading loop takes memory of its own
	b.rates.measureArithmetic()
	b.rates.measureRead()
	if err := b.kernels(kernelContext{positions: float64(o.Prompt) + float64(o.Response+1)/2}, func() error { return g.answers(ctx) }); err != nil {
		return err
	}
	return b.reportDecode(m, &prefill, &steps, peak)
}

func (b *bench) reportDecode(m *model.Model, prefill, steps *timing, peak int64) error {
	o, x := b.options, cost.Of(b.config, nil)
	batch, length, tokens := float64(o.Batch), float64(o.Prompt), float64(o.Batch*o.Response)
	prompts := cost.Work{Tokens: batch * length, Targets: batch, Pairs: batch * length * (length + 1) / 2}
	promptFloor := prompts.Tokens * b.rates.flops / x.Forward(prompts)
	floor := tokens / b.decodeFloor(m)
	t := Throughput{
		TokensPerCore: rate(tokens, steps.bestCore()), TokensPerSecond: tokens / steps.bestWall(), MedianTokensPerSecond: tokens / steps.medianWall(),
		PrefillPerCore: rate(prompts.Tokens, prefill.bestCore()), PrefillPerSecond: prompts.Tokens / prefill.bestWall(),
	}
	err := errors.Join(
		b.figure("prefill", "tokens/s", t.PrefillPerSecond, promptFloor),
		b.figure("prefill per core", "tokens/core-s", t.PrefillPerCore, promptFloor/float64(b.rates.threads)),
		b.figure("memory read", "GB/s", b.stepBytes(m, length+float64(o.Response)/2)*float64(o.Response)/steps.bestWall()/1e9, b.rates.read/1e9),
		b.figure("tokens, median", "tokens/s", t.MedianTokensPerSecond, floor),
		b.figure("tokens per core", "tokens/core-s", t.TokensPerCore, 0), // one core may have all of the memory's rate
		b.figure("peak memory", "MiB", float64(peak>>20), 0),
	)
	if err != nil {
		return err
	}
	return b.last(b.figureOf("tokens", "tokens/s", t.TokensPerSecond, floor), t, peak)
}

// stepBytes is what a step of one token per sequence must read: every weight
// but the embedding, of which a row each is enough, and the keys and values of
// the context.
func (b *bench) stepBytes(m *model.Model, context float64) float64 {
	weights := float64(m.Bytes())
	if !b.config.TieWordEmbeddings {
		weights -= float64(m.EmbeddingBytes())
	}
	return weights + float64(b.options.Batch)*context*positionBytes(b.config, b.act, m.Rounded())
}

// positionBytes is what a step reads of a position of the cache, which holds its
// elements as products round them.
func positionBytes(c model.Config, act, rounded device.Type) float64 {
	if rounded != 0 && rounded.Size() < act.Size() {
		act = rounded
	}
	return float64(c.CacheBytes(act)) / device.PageRows
}

// decodeFloor is the least time of all answers, in seconds: each step bound by
// memory or by arithmetic.
func (b *bench) decodeFloor(m *model.Model) (seconds float64) {
	batch, x := float64(b.options.Batch), cost.Of(b.config, nil)
	for i := range b.options.Response {
		context := float64(b.options.Prompt + i + 1)
		flops := x.Forward(cost.Work{Tokens: batch, Targets: batch, Pairs: batch * context})
		seconds += max(b.stepBytes(m, context)/b.rates.read, flops/b.rates.flops)
	}
	return seconds
}

// generator decodes a batch of sequences of equal length, each with pages of
// its own.
type generator struct {
	options  Options
	vocab    int
	decoding *model.Decoding
	drawing  *model.Drawing // nil where the device has no draws
	uniform  []float64
	chances  []float64
	batch    model.DecodeBatch
	prompts  [][]int32
	logits   []float32
	next     []int32
}

func newGenerator(m *model.Model, o Options) (*generator, error) {
	g := &generator{options: o, vocab: m.Config.VocabSize, next: make([]int32, o.Batch)}
	perSequence := (o.Prompt + o.Response + device.PageRows - 1) / device.PageRows
	var err error
	g.decoding, err = model.NewDecoding(m, model.CacheOptions{
		Rows: o.Batch * o.Prompt, Sequences: o.Batch, PagesPerSequence: perSequence, Pages: o.Batch * perSequence,
	})
	if err != nil {
		return nil, err
	}
	if g.drawing, err = g.decoding.Drawing(device.Sampling{TopP: 1}); err != nil {
		g.decoding.Close()
		return nil, err
	}
	g.uniform, g.chances = make([]float64, o.Batch), make([]float64, o.Batch)
	g.batch.Pages, g.batch.Prefix = make([]int32, o.Batch*perSequence), make([]int32, o.Batch)
	for i := range g.batch.Pages {
		g.batch.Pages[i] = int32(i)
	}
	r := rand.New(rand.NewPCG(seed, 2))
	for range o.Batch {
		g.prompts = append(g.prompts, randomIDs(r, g.vocab, o.Prompt))
	}
	return g, nil
}

// add puts a token of a sequence into the batch.
func (g *generator) add(sequence, position int, id int32) {
	b := &g.batch
	perSequence := len(b.Pages) / g.options.Batch
	b.IDs = append(b.IDs, id)
	b.Position = append(b.Position, int32(position))
	b.Slot = append(b.Slot, int32(sequence*perSequence*device.PageRows+position))
	b.Sequence = append(b.Sequence, int32(sequence))
	b.Own = append(b.Own, int32(position+1))
}

func (g *generator) reset() {
	b := &g.batch
	b.IDs, b.Position, b.Slot, b.Sequence, b.Own, b.Rows = b.IDs[:0], b.Position[:0], b.Slot[:0], b.Sequence[:0], b.Own[:0], b.Rows[:0]
}

// close gives the memory back.
func (g *generator) close() {
	g.drawing.Close()
	g.decoding.Close()
}

// run computes the batch and takes the likeliest token of every sequence, on the
// device where it can, as answers are drawn.
func (g *generator) run() (err error) {
	if g.drawing != nil {
		return g.drawing.Decode(&g.batch, g.uniform, g.next, g.chances)
	}
	if g.logits, err = g.decoding.Decode(g.logits, &g.batch); err != nil {
		return err
	}
	for i := range g.next {
		best, row := 0, g.logits[i*g.vocab:][:g.vocab]
		for k, x := range row {
			if x > row[best] {
				best = k
			}
		}
		g.next[i] = int32(best)
	}
	return nil
}

func (g *generator) prefill() error {
	g.reset()
	for s, ids := range g.prompts {
		for i, id := range ids {
			g.add(s, i, id)
		}
		g.batch.Rows = append(g.batch.Rows, int32(len(g.batch.IDs)-1))
	}
	return g.run()
}

// answers decodes Response tokens of every sequence.
func (g *generator) answers(ctx context.Context) error {
	for i := range g.options.Response {
		if err := ctx.Err(); err != nil {
			return err
		}
		g.reset()
		for s, id := range g.next {
			g.add(s, g.options.Prompt+i, id)
			g.batch.Rows = append(g.batch.Rows, int32(s))
		}
		if err := g.run(); err != nil {
			return err
		}
	}
	return nil
}
