package cpu

import (
	"align/internal/device"
	"align/internal/device/cpu/kern"
)

const (
	// gradKeys is the number of keys in a block, gradRows of query rows: what
	// belongs to a pair of blocks stays in a core's second cache.
	gradKeys = 512
	gradRows = 128
	// gradHidden is how many keys behind those that a row sees have a weight of
	// 0: sums over rows go over panels of keys and whole tiles of rows.
	gradHidden = kern.Cols + 2*kern.MaxDepth
	// gradStride is the distance of rows of scores, not a power of two.
	gradStride = gradKeys + 16 + gradHidden
)

// flashGrad is attention's backward pass on the tiles
// (https://arxiv.org/abs/2205.14135, algorithm 4), in one pass: a worker has a
// key/value head of rows that see nothing outside themselves, so that no sum
// is shared. Blocks of keys come in the outer loop, and blocks of rows, which
// begin at the start of a span, in the inner one.
type flashGrad struct {
	attentionGrad[float32]
	set    *kern.Set
	own    []micro
	tiles  []*tileGrad // of each worker, where the level has their kernel
	groups []spanGroup
	reach  []int // the largest prefixEnd of the spans before each
	work   work
	sums   deltas
	waves  gradWaves
}

// spanGroup is spans [from, to), which see no keys but their own.
type spanGroup struct{ from, to int }

func (f *fast) bindAttentionGrad(kernel string, attr device.Attention) (device.Kernel, error) {
	shared, err := newAttend[float32](f.b, kernel, attr)
	if err != nil {
		return nil, err
	}
	return f.newFlashGrad(shared).run, nil
}

func (f *fast) newFlashGrad(shared attend[float32]) *flashGrad {
	g := &flashGrad{attentionGrad: attentionGrad[float32]{attend: shared}, set: f.set, own: f.micros()}
	g.work.job = g
	g.sums.flashGrad, g.sums.job = g, &g.sums
	g.waves.flashGrad, g.waves.job = g, &g.waves
	g.waves.tiled.gradWaves, g.waves.tiled.job = &g.waves, &g.waves.tiled
	if g.set.HasGradWeights() && f.tiles() == &g.set.BF16 {
		for _, m := range g.own {
			g.tiles = append(g.tiles, newTileGrad(g, m))
		}
	}
	return g
}

func (g *flashGrad) run(c *device.Call) error {
	if err := g.prepare(c); err != nil {
		return err
	}
	if g.dq == nil && g.dk == nil && g.dv == nil {
		return nil
	}
	g.divideGroups()
	shared := g.waves.divide()
	w := g.workspace()
	if err := g.b.spaces.reserve(words8(int64(w.size)), g.sharedWords()+words8(int64(shared))); err != nil {
		return err
	}
	space := g.b.spaces.carveShared()
	g.delta = take[float32](&space, g.sharedWords())
	if err := g.sums.run(len(g.delta)); err != nil {
		return err
	}
	if err := g.waves.run(pointer(space.next)); err != nil {
		return err
	}
	return g.b.pool.run(&g.work, len(g.groups)*g.attr.KVHeads)
}

// sharedWords is the size of the deltas of all rows, where they are kept.
func (g *flashGrad) sharedWords() int {
	if g.tiles != nil {
		return 0
	}
	return g.tokens * g.attr.Heads
}

// workspace is what a worker needs.
func (g *flashGrad) workspace() (w parts) {
	if g.tiles != nil {
		g.tiles[0].layout(&w)
		return w
	}
	t := gradTask{flashGrad: g, micro: &g.own[0]}
	t.layout(&w)
	return w
}

// divideGroups refills groups: a span begins one if no span from it on sees an
// earlier row, and none before it sees its rows.
func (g *flashGrad) divideGroups() {
	g.reach = g.reach[:0]
	reach := 0 // of the prefixes so far
	for i := range g.spans {
		g.reach = append(g.reach, reach)
		reach = max(reach, g.spans[i].prefixEnd)
	}
	g.groups = g.groups[:0]
	lowest, end := g.tokens, len(g.spans)
	for i := end - 1; i >= 0; i-- {
		s := &g.spans[i]
		lowest = min(lowest, s.segmentStart)
		if s.prefixEnd > s.prefixStart {
			lowest = min(lowest, s.prefixStart)
		}
		if lowest >= s.start && g.reach[i] <= s.start {
			g.groups = append(g.groups, spanGroup{i, end})
			end = i
		}
	}
}

func (g *flashGrad) do(task, worker int) {
	group := g.groups[task/g.attr.KVHeads]
	if g.tiles != nil {
		g.tiles[worker].group(group, task%g.attr.KVHeads, parts{base: pointer(g.b.spaces.of[worker].Addr)})
		return
	}
	t := gradTask{flashGrad: g, micro: &g.own[worker], kv: task % g.attr.KVHeads}
	w := parts{base: pointer(g.b.spaces.of[worker].Addr)}
	t.layout(&w)
	from, to := g.spans[group.from].start, g.spans[group.to-1].end
	g.clear(t.kv, from, to)
	for i := group.from; i < group.to; i++ {
		s := &g.spans[i]
		if t.later = 0; !s.seesAll() {
			g.clearQueries(t.kv, s.start, s.end)
			t.later = 1
		}
		for key := s.prefixStart; key < s.prefixEnd; key += gradKeys {
			t.keys(s, key, min(gradKeys, s.prefixEnd-key), false)
		}
		for key := s.segmentStart; key < s.end; key += gradKeys {
			t.keys(s, key, min(gradKeys, s.end-key), true)
		}
	}
}

// clear zeroes a task's part of dk and dv: the outputs serve as accumulators.
func (g *flashGrad) clear(kv, from, to int) {
	d := g.attr.HeadDim
	for i := from; i < to; i++ {
		at := i*g.kvCols + kv*d
		if g.dk != nil {
			clear(g.dk[at:][:d])
		}
		if g.dv != nil {
			clear(g.dv[at:][:d])
		}
	}
}

// clearQueries zeroes a task's part of dq, which rows that see no key would not.
func (g *flashGrad) clearQueries(kv, from, to int) {
	n := g.group * g.attr.HeadDim
	for i := from; g.dq != nil && i < to; i++ {
		clear(g.dq[i*g.qCols+kv*n:][:n])
	}
}
