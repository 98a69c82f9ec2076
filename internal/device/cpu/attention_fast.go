package cpu

import (
	"math"

	"align/internal/device"
)

// fastAttention is the attention kernel on the tiles.
type fastAttention struct {
	attention[float32]
	flash     *flash
	positions int // in a task
}

func (f *fast) bindAttention(kernel string, attr device.Attention) (device.Kernel, error) {
	shared, err := newAttend[float32](f.b, kernel, attr)
	if err != nil {
		return nil, err
	}
	a := &fastAttention{attention: attention[float32]{attend: shared}, flash: newFlash(f, &shared)}
	a.job = a
	return a.run, nil
}

func (a *fastAttention) run(c *device.Call) error {
	if err := a.prepare(c); err != nil {
		return err
	}
	a.positions = a.flash.positions(a.tokens)
	if err := a.flash.reserve(a.positions); err != nil {
		return err
	}
	return a.b.pool.run(&a.work, panelsOf(a.tokens, a.positions)*a.attr.KVHeads)
}

// positions is how many of them make a task.
func (f *flash) positions(tokens int) int {
	n := max(1, min(f.rows/f.group, tokens))
	for n > attentionBlock && panelsOf(tokens, n)*f.attr.KVHeads < 2*f.b.pool.threads {
		n /= 2 // work for all
	}
	return n
}

// do takes the blocks of rows from the last on: those see the most keys.
func (a *fastAttention) do(task, worker int) {
	kv := task % a.attr.KVHeads
	lo := (panelsOf(a.tokens, a.positions) - 1 - task/a.attr.KVHeads) * a.positions
	hi := min(lo+a.positions, a.tokens)
	for i := range a.spans {
		s := &a.spans[i]
		if from, to := max(lo, s.start), min(hi, s.end); from < to {
			a.attend(s, from, to, kv, worker)
		}
	}
}

// attend computes positions [from, to) of a span.
func (a *fastAttention) attend(s *span, from, to, kv, worker int) {
	t := a.flash.of[worker]
	t.begin(a.in.q, from, to-from, kv)
	for key := s.prefixStart; key < s.prefixEnd; key += flashKeys {
		n := min(flashKeys, s.prefixEnd-key)
		t.pack(a.in.k, a.in.v, key, n, kv, 0)
		t.block(n, math.MaxInt32)
	}
	for key := s.segmentStart; key < to; key += flashKeys {
		n := min(flashKeys, to-key)
		t.pack(a.in.k, a.in.v, key, n, kv, 0)
		t.block(n, from+1-key)
	}
	t.finish(a.out, a.lse, from, kv)
}

// fastCached is attention_cached on the tiles.
type fastCached struct {
	attentionCached[float32]
	flash *flash
}

func (f *fast) bindCached(kernel string, attr device.Attention) (device.Kernel, error) {
	shared, err := newAttend[float32](f.b, kernel, attr)
	if err != nil {
		return nil, err
	}
	a := &fastCached{attentionCached: attentionCached[float32]{attention: attention[float32]{attend: shared}}, flash: f.newCachedFlash(&shared)}
	a.job = a
	return a.run, nil
}

// newCachedFlash is a flash that reads pages in place where they are laid out so.
func (f *fast) newCachedFlash(a *attend[float32]) *flash {
	t := newFlash(f, a)
	t.pages = f.pageOf(a.attr.HeadDim)
	return t
}

func (a *fastCached) run(c *device.Call) error {
	if err := a.prepare(c); err != nil {
		return err
	}
	if err := a.flash.reserve(attentionBlock); err != nil {
		return err
	}
	return a.b.pool.run(&a.work, len(a.runs)*a.attr.KVHeads)
}

func (a *fastCached) do(task, worker int) {
	r, kv := a.runs[task/a.attr.KVHeads], task%a.attr.KVHeads
	t := a.flash.of[worker]
	t.begin(heads{wide: a.q}, r.start, r.end-r.start, kv)
	s := int(a.sequence[r.start])
	pages, prefix := a.pages[s*a.table:], int(a.prefix[s])
	a.paged(t, pages, prefix, math.MaxInt32, kv)
	a.paged(t, pages[pagesOf(prefix):], int(a.own[r.end-1]), int(a.own[r.start]), kv)
	t.finish(heads{wide: a.o}, nil, r.start, kv)
}

// paged attends to the first n positions that the pages hold, of which the
// first row sees seen.
func (a *fastCached) paged(t flashWorker, pages []int32, n, seen, kv int) {
	for block := 0; block < n; block += flashKeys {
		end := min(block+flashKeys, n)
		for at := block; at < end; at += device.PageRows {
			page := int(pages[at/device.PageRows])
			if p := a.flash.pages; p != nil {
				t.inPage(p.at(a.k, a.kvCols, page, kv), p.at(a.v, a.kvCols, page, kv), at-block)
				continue
			}
			t.pack(heads{wide: a.k}, heads{wide: a.v}, page*device.PageRows, min(device.PageRows, end-at), kv, at-block)
		}
		t.block(end-block, seen-block)
	}
}
