package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// cacheWrite is cache[slot[t]] = x[t]: a page holds rows.
type cacheWrite[E float] struct {
	kernel   string
	attr     device.Cache
	cache, x []E
	slot     []int32
	cols     int
}

func newCacheWrite[E float](kernel string, attr device.Cache) (*cacheWrite[E], error) {
	if attr.HeadDim <= 0 {
		return nil, fmt.Errorf("cpu: %s: heads of %d columns: want a positive size", kernel, attr.HeadDim)
	}
	return &cacheWrite[E]{kernel: kernel, attr: attr}, nil
}

func (w *cacheWrite[E]) prepare(c *device.Call) (rows, grain int, err error) {
	k := contract.Of("cpu", w.kernel)
	if k.Arity(c, 1, 2) {
		cache, x, slot := c.Out[0], c.In[0], c.In[1]
		k.Overwrites(c)
		k.Matrix("x", x, typeOf[E](), slot.Len(), cache.Cols)
		k.Vector("slot", slot, device.I32, x.Rows)
		k.Matrix("cache", cache, typeOf[E](), cache.Rows, x.Cols)
		w.cache, w.x, w.slot, w.cols = device.Slice[E](cache), device.Slice[E](x), device.Slice[int32](slot), x.Cols
		checkIndices(&k, "slot", w.slot, 0, cache.Rows)
		checkPages(&k, cache.Rows)
		if k.Err == nil && w.cols%w.attr.HeadDim != 0 {
			k.Failf("%d columns: want whole heads of %d", w.cols, w.attr.HeadDim)
		}
	}
	return len(w.slot), rowGrain(w.cols), k.Err
}

func (w *cacheWrite[E]) compute(lo, hi int) {
	for t := lo; t < hi; t++ {
		copy(w.cache[int(w.slot[t])*w.cols:][:w.cols], w.x[t*w.cols:][:w.cols])
	}
}

// attentionCached is attention over a paged cache: the rows of one sequence
// that follow one another make a run, and a run's keys come page by page.
type attentionCached[E float] struct {
	attention[E]
	sequence, own, pages, prefix []int32
	table                        int // pages of a sequence's row in the table
	runs                         []span
}

func bindAttentionCached[E float](b *Backend) func(string, device.Attention) (device.Kernel, error) {
	return func(kernel string, attr device.Attention) (device.Kernel, error) {
		shared, err := newAttend[E](b, kernel, attr)
		if err != nil {
			return nil, err
		}
		f := &attentionCached[E]{attention: attention[E]{attend: shared}}
		f.job = f
		return f.run, nil
	}
}

func (f *attentionCached[E]) prepare(c *device.Call) error {
	k := contract.Of("cpu", f.kernel)
	if k.Arity(c, 1, 7) {
		k.Overwrites(c)
		f.checkCached(&k, c)
	}
	return k.Err
}

func (f *attentionCached[E]) run(c *device.Call) error {
	if err := f.prepare(c); err != nil {
		return err
	}
	rows := attentionBlock * f.group
	if err := f.b.spaces.reserve(attentionBlock*attentionBlock+attentionBlock*f.attr.HeadDim+2*rows, 0); err != nil {
		return err
	}
	return f.b.pool.run(&f.work, len(f.runs)*f.attr.KVHeads)
}

func (f *attentionCached[E]) checkCached(k *contract.Check, c *device.Call) {
	q, keys, values, pages := c.In[0], c.In[1], c.In[2], c.In[5]
	f.tokens = q.Rows
	k.Matrix("q", q, typeOf[E](), f.tokens, f.qCols)
	k.Matrix("keys", keys, typeOf[E](), keys.Rows, f.kvCols)
	k.Matrix("values", values, typeOf[E](), keys.Rows, f.kvCols)
	k.Vector("sequence", c.In[3], device.I32, f.tokens)
	k.Vector("own", c.In[4], device.I32, f.tokens)
	k.Matrix("pages", pages, device.I32, pages.Rows, pages.Cols)
	k.Vector("prefix", c.In[6], device.I32, pages.Rows)
	k.Matrix("o", c.Out[0], typeOf[E](), f.tokens, f.qCols)
	if k.Err != nil {
		return
	}
	f.q, f.k, f.v = device.Slice[E](q), device.Slice[E](keys), device.Slice[E](values)
	f.o, f.lse = device.Slice[E](c.Out[0]), nil
	f.sequence, f.own = device.Slice[int32](c.In[3]), device.Slice[int32](c.In[4])
	f.pages, f.prefix, f.table = device.Slice[int32](pages), device.Slice[int32](c.In[6]), pages.Cols
	checkIndices(k, "sequence", f.sequence, 0, pages.Rows)
	checkPages(k, keys.Rows)
	f.divideCached(k, keys.Rows/device.PageRows)
}

// divideCached refills runs; a run has at most attentionBlock rows.
func (f *attentionCached[E]) divideCached(k *contract.Check, numPages int) {
	f.runs = f.runs[:0]
	for t := 0; k.Err == nil && t < f.tokens; t++ {
		s := int(f.sequence[t])
		used := pagesOf(int(f.prefix[s])) + pagesOf(int(f.own[t]))
		if f.prefix[s] < 0 || f.own[t] < 1 || used > f.table {
			k.Failf("row %d: prefix %d and %d own positions do not fit a table of %d pages", t, f.prefix[s], f.own[t], f.table)
			return
		}
		checkIndices(k, "pages", f.pages[s*f.table:][:used], 0, numPages)
		if n := len(f.runs); n > 0 {
			last := &f.runs[n-1]
			if int(f.sequence[last.start]) == s && f.own[t] == f.own[t-1]+1 && t-last.start < attentionBlock {
				last.end = t + 1
				continue
			}
		}
		f.runs = append(f.runs, span{start: t, end: t + 1})
	}
}

// checkPages demands a cache of whole pages.
func checkPages(k *contract.Check, rows int) {
	if k.Err == nil && rows%device.PageRows != 0 {
		k.Failf("a cache of %d rows: want whole pages of %d", rows, device.PageRows)
	}
}

func pagesOf(positions int) int { return (positions + device.PageRows - 1) / device.PageRows }

func (f *attentionCached[E]) do(task, worker int) {
	f.runRows(f.runs[task/f.attr.KVHeads], task%f.attr.KVHeads, worker)
}

// runRows attends for rows [r.start, r.end) of one sequence and one key/value
// head, page by page, as attention.rows does tile by tile.
func (f *attentionCached[E]) runRows(r span, kv, worker int) {
	space := f.b.spaces.carve(worker)
	d, n, from, to := f.attr.HeadDim, r.end-r.start, r.start, r.end
	p := take[E](&space, attentionBlock*attentionBlock)
	values := take[E](&space, attentionBlock*d)
	largest, sums := take[E](&space, n*f.group), take[float64](&space, n*f.group)
	for i := range largest {
		largest[i], sums[i] = E(math.Inf(-1)), 0
	}
	f.clear(from, to, kv)
	s := int(f.sequence[from])
	prefix := int(f.prefix[s])
	prefixPages := pagesOf(prefix)
	ownEnd := int(f.own[to-1])
	for page := 0; page < prefixPages+pagesOf(ownEnd); page++ {
		first, at := from, page*device.PageRows
		length := min(device.PageRows, prefix-at)
		if page >= prefixPages {
			at = (page - prefixPages) * device.PageRows
			length = min(device.PageRows, ownEnd-at)
			for int(f.own[first]) <= at { // rows before the page do not see it
				first++
			}
		}
		key := int(f.pages[s*f.table+page]) * device.PageRows
		turn(values, f.v[key*f.kvCols+kv*d:], f.kvCols, length, d)
		for g := range f.group {
			head := kv*f.group + g
			f.scores(p, f.q, first, to-first, head, f.k, key, length, kv)
			for i := first; i < to; i++ {
				visible := length
				if page >= prefixPages {
					visible = min(length, int(f.own[i])-at)
				}
				state := g*n + i - from
				f.softmax(p[(i-first)*attentionBlock:][:length], visible, &largest[state], &sums[state], f.rowOf(i, head))
			}
			tile(f.o[first*f.qCols+head*d:], f.qCols, p, attentionBlock, to-first, values, attentionBlock, d, length, true)
		}
	}
	f.finish(from, n, kv, largest, sums)
}

// attentionBlock and the page must agree, or a decoded token's sums would be
// cut elsewhere than the same token's in a pack.
var _ = [1]struct{}{}[attentionBlock-device.PageRows]
