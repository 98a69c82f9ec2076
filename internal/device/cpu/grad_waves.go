package cpu

import (
	"slices"
	"unsafe"
)

// gradWaves is flashGrad where whole heads of documents are too few for the workers: a
// head's blocks of rows are shared out as well, some of all heads in a wave. First each block
// gets its weights and adds to dq, which no other block does. Then each worker has some keys
// and adds the blocks of the wave to their dk and dv, in the order in which one worker would, so
// that the bits are the same.
type gradWaves struct {
	*flashGrad
	work
	phase  func(g *gradWaves, task, worker int)
	groups []spanGroup
	loads  []int // of the workers

	// Of each key/value head: a block of keys, and behind them the places of a wave's blocks.
	shared           unsafe.Pointer
	keyBytes, slot   int
	group            spanGroup
	key, n, later    int
	blocks           []gradBlock // that see the keys, of the first key/value head
	wave             []gradBlock
	perWave, perPart int // blocks in a wave; keys in a part

	tiled tileWaves // where the level has the tiles' kernel
}

// shares says whether there may be waves: heads that the workers can take in equal numbers
// need none.
func (g *gradWaves) shares() bool { return g.attr.KVHeads%g.b.pool.threads > 0 }

// divide takes the groups of spans that are too large a share of the work from those
// which the workers take whole, and returns the bytes of shared memory for them.
func (g *gradWaves) divide() int {
	g.groups = g.groups[:0]
	if !g.shares() {
		return 0
	}
	total := 0
	for _, group := range g.flashGrad.groups {
		total += g.cost(group)
	}
	isLarge := func(group spanGroup) bool { return 2*g.b.pool.threads*g.cost(group) > total*g.attr.KVHeads }
	if !g.saves(isLarge) {
		return 0
	}
	g.flashGrad.groups = slices.DeleteFunc(g.flashGrad.groups, func(group spanGroup) bool {
		large := isLarge(group)
		if large {
			g.groups = append(g.groups, group)
		}
		return large
	})
	return g.sharedBytes()
}

// saves says whether the large groups in waves make the busiest worker's share a fifth
// smaller. Waves of few blocks leave workers idle as well.
func (g *gradWaves) saves(isLarge func(spanGroup) bool) bool {
	whole := g.busiest(func(spanGroup) bool { return false })
	waves := g.busiest(isLarge)
	for _, group := range g.flashGrad.groups {
		if isLarge(group) {
			waves += g.inWaves(group)
		}
	}
	return 5*waves <= 4*whole
}

// cost is what a head of a group takes, in pairs of a query and a key.
func (g *gradWaves) cost(group spanGroup) (pairs int) {
	for _, s := range g.spans[group.from:group.to] {
		rows := s.end - s.start
		pairs += rows * (s.prefixEnd - s.prefixStart + max(0, s.start-s.segmentStart) + rows/2 + 1)
	}
	return pairs
}

// inWaves is what a worker has of all heads of a group that goes in waves, about.
func (g *gradWaves) inWaves(group spanGroup) int {
	blocks := 0
	for _, s := range g.spans[group.from:group.to] {
		blocks += g.attr.Heads * panelsOf(s.end-s.start, gradRows)
	}
	return panelsOf(blocks, g.b.pool.threads) * g.attr.KVHeads * g.cost(group) / blocks
}

// busiest is what the busiest worker has where each takes whole heads, without some groups.
func (g *gradWaves) busiest(without func(spanGroup) bool) int {
	g.loads = append(g.loads[:0], make([]int, g.b.pool.threads)...)
	for _, group := range g.flashGrad.groups {
		for range g.attr.KVHeads {
			if !without(group) {
				g.loads[slices.Index(g.loads, slices.Min(g.loads))] += g.cost(group)
			}
		}
	}
	return slices.Max(g.loads)
}

// gradPart is the least keys of a part, and is filled up to whole panels.
const gradPart = 32

// sharedBytes sizes a wave, of two blocks of rows for each worker, and is what it takes.
func (g *gradWaves) sharedBytes() int {
	if g.tiles != nil {
		return g.tiled.sharedBytes()
	}
	t := gradTask{flashGrad: g.flashGrad, micro: &g.own[0]}
	var keys, slot parts
	t.layoutKeys(&keys)
	t.layoutRows(&slot)
	g.keyBytes, g.slot = keys.size, slot.size
	g.perWave = panelsOf(2*g.b.pool.threads, g.attr.KVHeads)
	g.perPart = panelsOf(gradPart, t.Rows) * t.Rows
	return g.attr.KVHeads * (g.keyBytes + g.perWave*g.slot)
}

// run goes through the groups, with the shared memory.
func (g *gradWaves) run(shared unsafe.Pointer) error {
	g.shared = shared
	for _, g.group = range g.groups {
		if err := g.through(g.spans[g.group.from:g.group.to]); err != nil {
			return err
		}
	}
	return nil
}

// through goes through a group of spans.
func (g *gradWaves) through(spans []span) error {
	if g.tiles != nil {
		return g.tiled.through(spans)
	}
	if err := g.each((*gradWaves).clearGroup, 1); err != nil {
		return err
	}
	for i := range spans {
		if err := g.span(&spans[i]); err != nil {
			return err
		}
	}
	return nil
}

// each runs a phase for so many things of each key/value head.
func (g *gradWaves) each(phase func(g *gradWaves, task, worker int), things int) error {
	g.phase = phase
	return g.b.pool.run(&g.work, things*g.attr.KVHeads)
}

func (g *gradWaves) do(task, worker int) { g.phase(g, task, worker) }

// span goes through the blocks of keys that a span sees.
func (g *gradWaves) span(s *span) error {
	if g.later = 0; !s.seesAll() {
		g.later = 1
	}
	for key := s.prefixStart; key < s.prefixEnd; key += gradKeys {
		if err := g.keys(s, key, min(gradKeys, s.prefixEnd-key), false); err != nil {
			return err
		}
	}
	for key := s.segmentStart; key < s.end; key += gradKeys {
		if err := g.keys(s, key, min(gradKeys, s.end-key), true); err != nil {
			return err
		}
	}
	return nil
}

// keys goes through the rows of a span that see some of keys [key, key+n), wave by wave.
func (g *gradWaves) keys(s *span, key, n int, inSegment bool) error {
	g.key, g.n, g.blocks = key, n, g.blocks[:0]
	for border := s.start; border < s.end; border += gradRows {
		b := s.block(border, key, n, inSegment)
		for b.head = 0; b.n > 0 && b.head < g.attend.group; b.head++ {
			g.blocks = append(g.blocks, b)
		}
	}
	if err := g.each((*gradWaves).packKeys, 1); err != nil {
		return err
	}
	for wave := range slices.Chunk(g.blocks, g.perWave) {
		g.wave = wave
		if err := g.each((*gradWaves).weights, len(wave)); err != nil {
			return err
		}
		if err := g.each((*gradWaves).sums, panelsOf(n, g.perPart)); err != nil {
			return err
		}
	}
	g.later = 1
	return nil
}

// task is a key/value head with the worker's memory, and the keys in that of the wave.
func (g *gradWaves) task(kv, worker int) gradTask {
	t := gradTask{flashGrad: g.flashGrad, micro: &g.own[worker], kv: kv, key: g.key, n: g.n, later: g.later}
	t.layout(&parts{base: pointer(g.b.spaces.of[worker].Addr)})
	t.layoutKeys(&parts{base: unsafe.Add(g.shared, kv*g.keyBytes)})
	return t
}

// take gives a task block i of the wave.
func (g *gradWaves) take(t *gradTask, i int) gradBlock {
	at := g.attr.KVHeads*g.keyBytes + (t.kv*g.perWave+i)*g.slot
	t.layoutRows(&parts{base: unsafe.Add(g.shared, at)})
	b := g.wave[i]
	b.head += t.kv * g.attend.group
	return b
}

func (g *gradWaves) clearGroup(kv, _ int) {
	spans := g.spans[g.group.from:g.group.to]
	g.clear(kv, spans[0].start, spans[len(spans)-1].end)
	for i := range spans {
		if s := &spans[i]; !s.seesAll() {
			g.clearQueries(kv, s.start, s.end)
		}
	}
}

func (g *gradWaves) packKeys(kv, worker int) {
	t := g.task(kv, worker)
	t.packKeys()
}

// weights has the last block first, which sees the most keys.
func (g *gradWaves) weights(task, worker int) {
	t := g.task(task%g.attr.KVHeads, worker)
	t.weights(g.take(&t, len(g.wave)-1-task/g.attr.KVHeads))
}

// sums adds the wave to a part of the keys.
func (g *gradWaves) sums(task, worker int) {
	t := g.task(task%g.attr.KVHeads, worker)
	from := task / g.attr.KVHeads * g.perPart
	for i := range g.wave {
		t.sumBlock(g.take(&t, i), from, min(from+g.perPart, g.n))
	}
}
