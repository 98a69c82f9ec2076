package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/graph"
)

// attention measures causal attention of a batch of sequences, forward and
// backward, by the useful operations: the square's lower half, and of the backward
// pass not the scores that it computes again, which are a quarter more.
func (b *bench) attention(ctx context.Context) error {
	c, o := b.config, b.options
	forward, backward, flops, err := b.attend(ctx)
	if err != nil {
		return err
	}
	label := fmt.Sprintf("T=%d H=%d KV=%d D=%d", o.Length, c.NumHeads, c.NumKVHeads, c.HeadDim)
	if err := b.rated(label, flops, forward); err != nil {
		return err
	}
	if err := b.rated(label+" gradient", 2*flops, backward); err != nil {
		return err
	}
	total := &timing{wall: []float64{forward.bestWall(), backward.bestWall()}, core: []float64{forward.bestCore(), backward.bestCore()}}
	return b.reportKernels("both", o.Batch*o.Length, 3*flops, total)
}

// attend times attention of a batch of sequences; flops are the forward pass's,
// of which the backward pass has twice as many.
func (b *bench) attend(ctx context.Context) (forward, backward *timing, flops float64, err error) {
	c, o := b.config, b.options
	rows, heads, keys := o.Batch*o.Length, c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	widths := map[string]int{"q": heads, "o": heads, "do": heads, "dq": heads, "k": keys, "v": keys, "dk": keys, "dv": keys, "lse": c.NumHeads}
	v := map[string]device.View{}
	for name, width := range widths {
		view, err := b.random(b.attends(name, width), rows, width)
		if err != nil {
			return nil, nil, 0, err
		}
		defer b.free(view)
		v[name] = view
	}
	start, err := b.segments()
	if err != nil {
		return nil, nil, 0, err
	}
	defer b.free(start)
	attr := device.Attention{Heads: c.NumHeads, KVHeads: c.NumKVHeads, HeadDim: c.HeadDim, Scale: 1 / math.Sqrt(float64(c.HeadDim))}
	pairs := float64(o.Batch) * float64(o.Length) * float64(o.Length+1) / 2
	flops = 4 * pairs * float64(heads)
	forward, err = b.timed("attention", attr, device.Call{
		Out: []device.View{v["o"], v["lse"]}, In: []device.View{v["q"], v["k"], v["v"], start, start, start},
	})
	if err != nil || ctx.Err() != nil {
		return nil, nil, 0, errors.Join(err, ctx.Err())
	}
	backward, err = b.timed("attention_grad", attr, device.Call{
		Out: []device.View{v["dq"], v["dk"], v["dv"]}, In: []device.View{v["q"], v["k"], v["v"], v["o"], v["lse"], v["do"], start, start, start},
	})
	return forward, backward, flops, err
}

// attends is the type of a value of so many columns that attention reads or writes: what
// products alone read is held rounded, as a training step holds it.
func (b *bench) attends(name string, cols int) device.Type {
	switch name {
	case "lse":
		return b.act.Wide()
	case "q", "k", "v", "o", "do":
		r, is := b.backend.(device.Rounder)
		if is && r.Rounded() != 0 && b.config.HeadDim%graph.HeadCols == 0 && cols%r.RoundedCols() == 0 {
			return r.Rounded()
		}
	}
	return b.act
}

// segments is each row's first row of its sequence: with an empty prefix there,
// all three vectors of attention.
func (b *bench) segments() (device.View, error) {
	rows := b.options.Batch * b.options.Length
	data := make([]byte, 4*rows)
	for i := range rows {
		start := i / b.options.Length * b.options.Length
		binary.LittleEndian.PutUint32(data[4*i:], uint32(start))
	}
	m, err := b.backend.Alloc(int64(len(data)))
	if err != nil {
		return device.View{}, err
	}
	v := m.At(0, device.I32, rows, 1)
	return v, b.backend.Upload(v, data)
}
