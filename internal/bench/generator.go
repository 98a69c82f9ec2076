package bench

import (
	"context"
	"math/rand/v2"

	"align/internal/device"
	"align/model"
)

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
