package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cpu/kern"
)

// Attention works on tiles of at most attentionBlock query rows by
// attentionBlock key rows, never on [T,T] (online softmax,
// https://arxiv.org/abs/2205.14135, algorithm 1).
//
// Tiles of keys begin at the start of a row's prefix and of its segment, and
// tiles of queries in the sums over queries at the start of their segment. So
// the order of every sum is the same wherever the segment stands in the pack.
const attentionBlock = 64

// span is a run of neighbouring query rows [start, end) that see the same
// prefix and belong to the same segment.
type span struct{ start, end, prefixStart, prefixEnd, segmentStart int }

// keys is tile c of the keys that the rows before end see. It belongs to the
// segment, where row i sees keys up to i, or to the prefix, all of which every
// row sees.
func (s *span) keys(c, end int) (from, to int, inSegment, ok bool) {
	prefixTiles := (s.prefixEnd - s.prefixStart + attentionBlock - 1) / attentionBlock
	if c < prefixTiles {
		from = s.prefixStart + c*attentionBlock
		return from, min(from+attentionBlock, s.prefixEnd), false, true
	}
	from = s.segmentStart + (c-prefixTiles)*attentionBlock
	return from, min(from+attentionBlock, end), true, from < end
}

// attend is what forward and backward share.
type attend[E float] struct {
	kernel                        string
	b                             *Backend
	attr                          device.Attention
	group                         int // query heads of one key/value head
	scale                         E
	tokens                        int
	qCols, kvCols                 int
	q, k, v                       []E
	in                            struct{ q, k, v heads } // the same, for the tiles
	prefixStart, prefixEnd, start []int32
	spans                         []span
}

func newAttend[E float](b *Backend, kernel string, attr device.Attention) (attend[E], error) {
	if attr.Heads <= 0 || attr.KVHeads <= 0 || attr.HeadDim <= 0 || attr.Heads%attr.KVHeads != 0 || !finite(attr.Scale) {
		return attend[E]{}, fmt.Errorf("cpu: %s: %+v: want positive sizes, heads a multiple of key/value heads and a finite scale", kernel, attr)
	}
	return attend[E]{
		kernel: kernel, b: b, attr: attr, group: attr.Heads / attr.KVHeads, scale: E(attr.Scale),
		qCols: attr.Heads * attr.HeadDim, kvCols: attr.KVHeads * attr.HeadDim,
	}, nil
}

// check takes q, k, v and the mask vectors, and divides the rows into spans.
func (a *attend[E]) check(k *contract.Check, q, key, value device.View, mask []device.View) {
	a.tokens = q.Rows
	k.Matrix("q", q, a.held(q), a.tokens, a.qCols)
	k.Matrix("k", key, a.held(key), a.tokens, a.kvCols)
	k.Matrix("v", value, a.held(value), a.tokens, a.kvCols)
	for i, name := range [...]string{"prefixStart", "prefixEnd", "segmentStart"} {
		k.Vector(name, mask[i], device.I32, a.tokens)
	}
	if k.Err != nil {
		return
	}
	if a.b.fast == nil {
		a.q, a.k, a.v = device.Slice[E](q), device.Slice[E](key), device.Slice[E](value)
	} else {
		a.in.q, a.in.k, a.in.v = headsOf(q), headsOf(key), headsOf(value)
	}
	a.prefixStart, a.prefixEnd = device.Slice[int32](mask[0]), device.Slice[int32](mask[1])
	a.start = device.Slice[int32](mask[2])
	a.divide(k)
}

// held is the type that q, k, v or o is checked for: E or, in heads of whole panels,
// what the tiles round it to.
func (a *attend[E]) held(x device.View) device.Type {
	if x.Type == a.b.Rounded() && a.attr.HeadDim%kern.Cols == 0 {
		return x.Type
	}
	return typeOf[E]()
}

// divide refills spans from the mask vectors.
func (a *attend[E]) divide(k *contract.Check) {
	a.spans = a.spans[:0]
	for i := range a.start {
		s := span{i, i + 1, int(a.prefixStart[i]), int(a.prefixEnd[i]), int(a.start[i])}
		if s.prefixStart < 0 || s.prefixStart > s.prefixEnd || s.prefixEnd > a.tokens || s.segmentStart < 0 {
			k.Failf("row %d: prefix [%d,%d) and segment start %d do not fit %d rows", i, s.prefixStart, s.prefixEnd, s.segmentStart, a.tokens)
			return
		}
		if max(s.prefixStart, s.segmentStart) < min(s.prefixEnd, i+1) {
			k.Failf("row %d: prefix [%d,%d) and segment [%d,%d] overlap", i, s.prefixStart, s.prefixEnd, s.segmentStart, i)
			return
		}
		if n := len(a.spans); n > 0 {
			last := &a.spans[n-1]
			if last.prefixStart == s.prefixStart && last.prefixEnd == s.prefixEnd && last.segmentStart == s.segmentStart {
				last.end = i + 1
				continue
			}
		}
		a.spans = append(a.spans, s)
	}
}

// blocks is how many tasks there are: one for each block of rows and
// key/value head.
func (a *attend[E]) blocks() int {
	return (a.tokens + attentionBlock - 1) / attentionBlock * a.attr.KVHeads
}

// task is the rows and the key/value head of one task.
func (a *attend[E]) task(task int) (lo, hi, kv int) {
	lo = task / a.attr.KVHeads * attentionBlock
	return lo, min(lo+attentionBlock, a.tokens), task % a.attr.KVHeads
}

// scores is c[i,j] = q[i]·k[j] for n query rows of a head and nk keys.
func (a *attend[E]) scores(c []E, x []E, row, n, head int, y []E, key, nk, kv int) {
	d := a.attr.HeadDim
	tile(c, attentionBlock, x[row*a.qCols+head*d:], a.qCols, n, y[key*a.kvCols+kv*d:], a.kvCols, nk, d, false)
}

// turn transposes n rows of d elements, ld apart, so that tile can sum over
// the rows; the result's vectors are attentionBlock apart.
func turn[E float](dst, src []E, ld, n, d int) {
	for i := range n {
		for j, x := range src[i*ld:][:d] {
			dst[j*attentionBlock+i] = x
		}
	}
}

// attention is o[T,H*D] and lse[T,H].
type attention[E float] struct {
	attend[E]
	work
	o, lse []E
	out    heads // o, for the tiles
}

func bindAttention[E float](b *Backend) func(string, device.Attention) (device.Kernel, error) {
	return func(kernel string, attr device.Attention) (device.Kernel, error) {
		shared, err := newAttend[E](b, kernel, attr)
		if err != nil {
			return nil, err
		}
		f := &attention[E]{attend: shared}
		f.job = f
		return f.run, nil
	}
}

// prepare checks the call and keeps its slices.
func (f *attention[E]) prepare(c *device.Call) error {
	k := contract.Of("cpu", f.kernel)
	if k.Arity(c, 2, 6) {
		k.Overwrites(c)
		f.check(&k, c.In[0], c.In[1], c.In[2], c.In[3:])
		k.Output("o", c.Out[0], f.held(c.Out[0]), f.tokens, f.qCols)
		k.Output("lse", c.Out[1], typeOf[E](), f.tokens, f.attr.Heads)
		f.lse = device.Slice[E](c.Out[1])
	}
	if k.Err != nil {
		return k.Err
	}
	if f.b.fast == nil {
		f.o = device.Slice[E](c.Out[0])
	} else {
		f.out = headsOf(c.Out[0])
	}
	return nil
}

func (f *attention[E]) run(c *device.Call) error {
	if err := f.prepare(c); err != nil {
		return err
	}
	const tiles = attentionBlock * attentionBlock
	rows := attentionBlock * f.group
	if err := f.b.spaces.reserve(tiles+attentionBlock*f.attr.HeadDim+2*rows, 0); err != nil {
		return err
	}
	return f.b.pool.run(&f.work, f.blocks())
}

func (f *attention[E]) do(task, worker int) {
	lo, hi, kv := f.task(task)
	for i := range f.spans {
		s := &f.spans[i]
		if from, to := max(lo, s.start), min(hi, s.end); from < to {
			f.rows(s, from, to, kv, worker)
		}
	}
}

// rows computes query rows [from, to) of the heads that share key/value head
// kv. The rows of o serve as accumulators.
func (f *attention[E]) rows(s *span, from, to, kv, worker int) {
	space := f.b.spaces.carve(worker)
	d, n := f.attr.HeadDim, to-from
	p := take[E](&space, attentionBlock*attentionBlock)
	values := take[E](&space, attentionBlock*d)
	largest, sums := take[E](&space, n*f.group), take[float64](&space, n*f.group)
	for i := range largest {
		largest[i], sums[i] = E(math.Inf(-1)), 0
	}
	f.clear(from, to, kv)
	for c := 0; ; c++ {
		key, end, inSegment, ok := s.keys(c, to)
		if !ok {
			break
		}
		first := from // rows before a tile of the segment do not see it
		if inSegment {
			first = max(from, key)
		}
		turn(values, f.v[key*f.kvCols+kv*d:], f.kvCols, end-key, d)
		for g := range f.group {
			head := kv*f.group + g
			f.scores(p, f.q, first, to-first, head, f.k, key, end-key, kv)
			for i := first; i < to; i++ {
				visible := end - key
				if inSegment {
					visible = min(visible, i+1-key)
				}
				at := g*n + i - from
				f.softmax(p[(i-first)*attentionBlock:][:end-key], visible, &largest[at], &sums[at], f.rowOf(i, head))
			}
			if f.o != nil {
				tile(f.o[first*f.qCols+head*d:], f.qCols, p, attentionBlock, to-first, values, attentionBlock, d, end-key, true)
			}
		}
	}
	f.finish(from, n, kv, largest, sums)
}

// rowOf is row i of a head's output, empty where it is not wanted.
func (f *attention[E]) rowOf(i, head int) []E {
	if f.o == nil {
		return nil
	}
	return f.o[i*f.qCols+head*f.attr.HeadDim:][:f.attr.HeadDim]
}

func (f *attention[E]) clear(from, to, kv int) {
	for i := from; i < to; i++ {
		for g := range f.group {
			clear(f.rowOf(i, kv*f.group+g))
		}
	}
}

// softmax turns the scores of the visible keys into weights relative to the
// largest score so far, 0 for the others, and rescales what the row has summed
// so far where the largest grows.
func (f *attention[E]) softmax(p []E, visible int, largest *E, sum *float64, o []E) {
	top := *largest
	for j := range visible {
		p[j] *= f.scale
		top = max(top, p[j])
	}
	if top > *largest && *sum > 0 {
		shrink := exp(*largest - top)
		*sum *= float64(shrink)
		for j := range o {
			o[j] *= shrink
		}
	}
	*largest = top
	var added float64
	for j := range visible {
		p[j] = exp(p[j] - top)
		added += float64(p[j])
	}
	*sum += added
	clear(p[visible:])
}

// finish divides by the sums. A row that sees no key gets 0, and -Inf for lse.
func (f *attention[E]) finish(from, n, kv int, largest []E, sums []float64) {
	for g := range f.group {
		head := kv*f.group + g
		for i := range n {
			sum := sums[g*n+i]
			if f.lse != nil {
				f.lse[(from+i)*f.attr.Heads+head] = E(float64(largest[g*n+i]) + math.Log(sum))
			}
			if sum == 0 {
				continue
			}
			inverse := E(1 / sum)
			o := f.rowOf(from+i, head)
			for j := range o {
				o[j] *= inverse
			}
		}
	}
}
