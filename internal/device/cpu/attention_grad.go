package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// attentionGrad recomputes the weights p from lse, tile by tile
// (https://arxiv.org/abs/2205.14135, algorithm 4):
//
//	dv = p' do,  ds = p (do v' - delta) scale,  dq = ds k,  dk = ds' q
//
// with delta = sum of do*o of a row and head. dq is split over query rows, dk
// and dv over key rows, so that each sum stays with one worker.
type attentionGrad[E float] struct {
	attend[E]
	lse, o, dOut []E
	out, grad    heads // o and do, for the tiles
	dq, dk, dv   []E
	delta        []E // [T,H]
	deltas       rowJob
	queries      queryGrad[E]
	keys         keyGrad[E]
}

func bindAttentionGrad[E float](b *Backend) func(string, device.Attention) (device.Kernel, error) {
	return func(kernel string, attr device.Attention) (device.Kernel, error) {
		shared, err := newAttend[E](b, kernel, attr)
		if err != nil {
			return nil, err
		}
		g := &attentionGrad[E]{attend: shared}
		g.deltas.kernel, g.deltas.job = phase(g.sumDelta), &g.deltas
		g.queries.attentionGrad, g.queries.job = g, &g.queries
		g.keys.attentionGrad, g.keys.job = g, &g.keys
		return g.run, nil
	}
}

func (g *attentionGrad[E]) run(c *device.Call) error {
	if err := g.prepare(c); err != nil {
		return err
	}
	heads := g.tokens * g.attr.Heads
	const tiles = attentionBlock * attentionBlock
	if err := g.b.spaces.reserve(2*tiles+2*attentionBlock*g.attr.HeadDim, heads); err != nil {
		return err
	}
	space := g.b.spaces.carveShared()
	g.delta = take[E](&space, heads)
	if err := g.b.runRows(&g.deltas, heads, rowGrain(g.attr.HeadDim)); err != nil {
		return err
	}
	if g.dq != nil {
		if err := g.b.pool.run(&g.queries.work, g.blocks()); err != nil {
			return err
		}
	}
	if g.dk == nil && g.dv == nil {
		return nil
	}
	return g.b.pool.run(&g.keys.work, g.blocks())
}

func (g *attentionGrad[E]) prepare(c *device.Call) error {
	k := contract.Of("cpu", g.kernel)
	if k.Arity(c, 3, 9) {
		k.Overwrites(c)
		g.check(&k, c.In[0], c.In[1], c.In[2], c.In[6:])
		k.Matrix("o", c.In[3], g.held(c.In[3]), g.tokens, g.qCols)
		k.Matrix("lse", c.In[4], typeOf[E](), g.tokens, g.attr.Heads)
		k.Matrix("do", c.In[5], g.held(c.In[5]), g.tokens, g.qCols)
		k.Output("dq", c.Out[0], typeOf[E](), g.tokens, g.qCols)
		k.Output("dk", c.Out[1], typeOf[E](), g.tokens, g.kvCols)
		k.Output("dv", c.Out[2], typeOf[E](), g.tokens, g.kvCols)
		g.lse = device.Slice[E](c.In[4])
		g.dq, g.dk, g.dv = device.Slice[E](c.Out[0]), device.Slice[E](c.Out[1]), device.Slice[E](c.Out[2])
	}
	if k.Err != nil {
		return k.Err
	}
	if g.b.fast == nil {
		g.o, g.dOut = device.Slice[E](c.In[3]), device.Slice[E](c.In[5])
	} else {
		g.out, g.grad = headsOf(c.In[3]), headsOf(c.In[5])
	}
	return nil
}

func (g *attentionGrad[E]) sumDelta(lo, hi int) {
	d := g.attr.HeadDim
	for i := lo; i < hi; i++ {
		var sum float64
		o, do := g.o[i*d:][:d], g.dOut[i*d:][:d]
		for j := range o {
			sum += float64(o[j]) * float64(do[j])
		}
		g.delta[i] = E(sum)
	}
}

// queryGrad is the pass over query rows: dq.
type queryGrad[E float] struct {
	*attentionGrad[E]
	work
}

func (g *queryGrad[E]) do(task, worker int) {
	lo, hi, kv := g.task(task)
	for i := range g.spans {
		s := &g.spans[i]
		if from, to := max(lo, s.start), min(hi, s.end); from < to {
			g.rows(s, from, to, kv, worker)
		}
	}
}

func (g *queryGrad[E]) rows(s *span, from, to, kv, worker int) {
	space := g.b.spaces.carve(worker)
	d := g.attr.HeadDim
	p := take[E](&space, attentionBlock*attentionBlock)
	dp := take[E](&space, attentionBlock*attentionBlock)
	keys := take[E](&space, attentionBlock*d)
	for i := from; i < to; i++ {
		clear(g.dq[i*g.qCols+kv*g.group*d:][:g.group*d])
	}
	for c := 0; ; c++ {
		key, end, inSegment, ok := s.keys(c, to)
		if !ok {
			return
		}
		first := from
		if inSegment {
			first = max(from, key)
		}
		turn(keys, g.k[key*g.kvCols+kv*d:], g.kvCols, end-key, d)
		for head := kv * g.group; head < (kv+1)*g.group; head++ {
			g.scores(p, g.q, first, to-first, head, g.k, key, end-key, kv)
			g.scores(dp, g.dOut, first, to-first, head, g.v, key, end-key, kv)
			for i := first; i < to; i++ {
				visible := end - key
				if inSegment {
					visible = min(visible, i+1-key)
				}
				at := (i - first) * attentionBlock
				g.row(p[at:][:end-key], dp[at:], visible, i*g.attr.Heads+head)
			}
			tile(g.dq[first*g.qCols+head*d:], g.qCols, p, attentionBlock, to-first, keys, attentionBlock, d, end-key, true)
		}
	}
}

// row turns scores into ds; at is the row's place in lse and delta.
func (g *queryGrad[E]) row(p, dp []E, visible, at int) {
	lse, delta := g.lse[at], g.delta[at]
	for j := range visible {
		p[j] = exp(p[j]*g.scale-lse) * (dp[j] - delta) * g.scale
	}
	clear(p[visible:])
}

// keyGrad is the pass over key rows: dk and dv. Queries come in ascending
// order: spans, then tiles within a span, then the heads of the group.
type keyGrad[E float] struct {
	*attentionGrad[E]
	work
}

func (g *keyGrad[E]) do(task, worker int) {
	lo, hi, kv := g.task(task)
	d := g.attr.HeadDim
	for j := lo; j < hi; j++ {
		if g.dk != nil {
			clear(g.dk[j*g.kvCols+kv*d:][:d])
		}
		if g.dv != nil {
			clear(g.dv[j*g.kvCols+kv*d:][:d])
		}
	}
	for i := range g.spans {
		s := &g.spans[i]
		g.queries(s, max(lo, s.prefixStart), min(hi, s.prefixEnd), false, kv, worker)
		g.queries(s, max(lo, s.segmentStart), min(hi, s.end), true, kv, worker)
	}
}

// queries adds what the rows of a span give to keys [key, end).
func (g *keyGrad[E]) queries(s *span, key, end int, inSegment bool, kv, worker int) {
	if key >= end {
		return
	}
	// The first tile border at or before the span's start: in a segment without
	// gaps, the start itself.
	border := s.segmentStart
	if border < s.start {
		border += (s.start - border) / attentionBlock * attentionBlock
	} else {
		border = s.start
	}
	for ; border < s.end; border += attentionBlock {
		from, to := max(border, s.start), min(border+attentionBlock, s.end)
		if inSegment {
			from = max(from, key) // earlier rows do not see these keys
		}
		if from < to {
			g.tile(from, to, key, end, inSegment, kv, worker)
		}
	}
}

// tile adds what query rows [from, to) give to keys [key, end).
func (g *keyGrad[E]) tile(from, to, key, end int, inSegment bool, kv, worker int) {
	space := g.b.spaces.carve(worker)
	d, n, nk := g.attr.HeadDim, to-from, end-key
	p := take[E](&space, attentionBlock*attentionBlock) // [keys, queries]
	ds := take[E](&space, attentionBlock*attentionBlock)
	turned := take[E](&space, attentionBlock*d)
	for head := kv * g.group; head < (kv+1)*g.group; head++ {
		at := from*g.qCols + head*d
		q, do := g.q[at:], g.dOut[at:]
		kvAt := key*g.kvCols + kv*d
		tile(p, attentionBlock, g.k[kvAt:], g.kvCols, nk, q, g.qCols, n, d, false)
		tile(ds, attentionBlock, g.v[kvAt:], g.kvCols, nk, do, g.qCols, n, d, false)
		for j := range nk {
			hidden := 0
			if inSegment {
				hidden = min(n, max(0, key+j-from))
			}
			g.row(p[j*attentionBlock:][:n], ds[j*attentionBlock:][:n], hidden, from, head)
		}
		if g.dv != nil {
			turn(turned, do, g.qCols, n, d)
			tile(g.dv[kvAt:], g.kvCols, p, attentionBlock, nk, turned, attentionBlock, d, n, true)
		}
		if g.dk != nil {
			turn(turned, q, g.qCols, n, d)
			tile(g.dk[kvAt:], g.kvCols, ds, attentionBlock, nk, turned, attentionBlock, d, n, true)
		}
	}
}

// row turns one key's scores and do·v into p and ds; the first rows, hidden in
// number, do not see it.
func (g *keyGrad[E]) row(p, ds []E, hidden, from, head int) {
	clear(p[:hidden])
	clear(ds[:hidden])
	for i := hidden; i < len(p); i++ {
		at := (from+i)*g.attr.Heads + head
		p[i] = exp(p[i]*g.scale - g.lse[at])
		ds[i] = p[i] * (ds[i] - g.delta[at]) * g.scale
	}
}
