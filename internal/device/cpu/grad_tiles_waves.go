package cpu

import (
	"slices"
	"unsafe"
)

// waveGroup is tileGroup in a wave, whose tasks are groups. Only for whole panels of columns
// it decides no bits.
const waveGroup = 4

// tileWaves is gradWaves for the tiles' kernel, whose waves are some blocks of keys and a
// whole chunk of queries: each group of panels gets its weights and its dq, then each part of
// the keys its dk and dv, over heads and groups in the order of tileGrad.
type tileWaves struct {
	*gradWaves
	work
	phase func(w *tileWaves, task, worker int)

	// Of each key/value head: a chunk, and behind it the places of a wave's blocks, each
	// of keys and all weights.
	chunkBytes, keyBytes, blockBytes int
	perWave                          int // blocks in a wave

	gaps           bool // of the group of spans
	from, to       int  // the chunk's rows
	panels, groups int  // of a head in it
	blocks         []keyBlock
	first          int        // of the wave
	wave           []keyBlock // of blocks
}

// sharedBytes sizes a wave, in which there are four parts of the keys for each worker, and is
// what it takes.
func (w *tileWaves) sharedBytes() int {
	t := w.tiles[0]
	var chunk, block parts
	t.layoutChunk(&chunk)
	t.layoutKeys(&block)
	w.chunkBytes, w.keyBytes = chunk.size, block.size
	w.groups = panelsOf(panelsOf(t.positions, tilePanel), waveGroup)
	w.blockBytes = block.size + w.attend.group*w.groups*tileBlock/tilePart*2*lines(tileWeights(waveGroup))
	w.perWave = min(panelsOf(t.tokens, tileBlock), panelsOf(4*w.b.pool.threads*tilePart, w.attr.KVHeads*tileBlock))
	return w.attr.KVHeads * w.headBytes()
}

func (w *tileWaves) headBytes() int { return w.chunkBytes + w.perWave*w.blockBytes }

// through goes through a group of spans.
func (w *tileWaves) through(spans []span) error {
	if w.gaps = slices.ContainsFunc(spans, span.hasGap); w.gaps {
		if err := w.each((*tileWaves).clearGroup, 1); err != nil {
			return err
		}
	}
	for i := range spans {
		s := &spans[i]
		for from := s.start; from < s.end; from += w.tiles[0].positions {
			w.take(s, from)
			if err := w.chunk(); err != nil {
				return err
			}
		}
	}
	return nil
}

// take takes the chunk of a span that begins at a row.
func (w *tileWaves) take(s *span, from int) {
	w.from, w.to = from, min(from+w.tiles[0].positions, s.end)
	w.panels = panelsOf(w.to-from, tilePanel)
	w.groups = panelsOf(w.panels, waveGroup)
	w.blocks, w.first = w.blocks[:0], 0
	for i := 0; ; i++ {
		b, ok := s.keyBlock(i, from, w.to)
		if !ok {
			return
		}
		w.blocks = append(w.blocks, b)
	}
}

// chunk goes through the keys that it sees, wave by wave.
func (w *tileWaves) chunk() error {
	for w.next() {
		if err := w.each((*tileWaves).packBlock, len(w.wave)*(1+tileBlock/tilePart)); err != nil {
			return err
		}
		if err := w.each((*tileWaves).weights, w.attend.group*w.groups); err != nil {
			return err
		}
		if err := w.each((*tileWaves).sums, w.keyParts()); err != nil {
			return err
		}
		w.first += len(w.wave)
	}
	return nil
}

// next takes the next blocks, if there are any.
func (w *tileWaves) next() bool {
	w.wave = w.blocks[w.first:min(w.first+w.perWave, len(w.blocks))]
	return len(w.wave) > 0
}

// keyParts is how many parts the keys of the wave have.
func (w *tileWaves) keyParts() (n int) {
	for _, b := range w.wave {
		n += panelsOf(b.n, tilePart)
	}
	return n
}

// each runs a phase for so many things of each key/value head.
func (w *tileWaves) each(phase func(w *tileWaves, task, worker int), things int) error {
	w.phase = phase
	return w.b.pool.run(&w.work, things*w.attr.KVHeads)
}

func (w *tileWaves) do(task, worker int) { w.phase(w, task, worker) }

// task is a key/value head's part of the chunk with the worker's memory.
func (w *tileWaves) task(kv, worker int) *tileGrad {
	t := w.tiles[worker]
	t.kv, t.gaps, t.panels, t.grouped = kv, w.gaps, w.panels, waveGroup
	t.layoutOwn(&parts{base: pointer(w.b.spaces.of[worker].Addr)})
	t.layoutChunk(&parts{base: unsafe.Add(w.shared, kv*w.headBytes())})
	return t
}

// block gives a task block i of the wave.
func (w *tileWaves) block(t *tileGrad, i int) keyBlock {
	t.layoutKeys(&parts{base: w.place(t.kv, i)})
	t.first = !w.gaps && w.first+i == 0
	return w.wave[i]
}

// place is where block i of the wave lies.
func (w *tileWaves) place(kv, i int) unsafe.Pointer {
	return unsafe.Add(w.shared, kv*w.headBytes()+w.chunkBytes+i*w.blockBytes)
}

// keep gives a task the place of a tile's weights, of block i.
func (w *tileWaves) keep(t *tileGrad, i int, g gradTile) {
	group := g.head*w.groups + g.panel/waveGroup
	at := (group*tileBlock + g.at) / tilePart * 2 * lines(tileWeights(waveGroup))
	t.layoutWeights(&parts{base: unsafe.Add(w.place(t.kv, i), w.keyBytes+at)}, waveGroup)
}

func (w *tileWaves) clearGroup(kv, _ int) {
	spans := w.spans[w.group.from:w.group.to]
	from, to := spans[0].start, spans[len(spans)-1].end
	w.clear(kv, from, to)
	w.clearQueries(kv, from, to)
}

// packBlock packs a part of the keys for scores, or all of a block's for dq.
func (w *tileWaves) packBlock(task, worker int) {
	t, thing := w.task(task%w.attr.KVHeads, worker), task/w.attr.KVHeads
	b := w.block(t, thing%len(w.wave))
	if part := thing / len(w.wave); part > 0 {
		at := (part - 1) * tilePart
		t.packKeys(b, at, min(at+tilePart, b.n))
		return
	}
	t.packKeySums(b)
}

// weights has the last group of panels first, which sees the most keys.
func (w *tileWaves) weights(task, worker int) {
	t, thing := w.task(task%w.attr.KVHeads, worker), task/w.attr.KVHeads
	head, first := thing%w.attend.group, (w.groups-1-thing/w.attend.group)*waveGroup
	last := min(first+waveGroup, w.panels)
	for i := first; w.first == 0 && i < last; i++ {
		t.beginPanel(head, i, w.from, w.to)
		t.fillRows(head, 1, i, w.from, w.to)
	}
	for i := range w.wave {
		b := w.block(t, i)
		t.see(head, first, b)
		for at := 0; at < b.n; at += tilePart {
			if g := t.tile(head, first, at, b); g.panels > 0 {
				w.keep(t, i, g)
				t.weigh(g)
			}
		}
		t.sumQueries(head, first, b)
	}
	t.multiply()
	for i := first; w.first+len(w.wave) == len(w.blocks) && i < last; i++ {
		t.finishPanel(head, i, w.from, w.to)
	}
}

// sums adds all queries to a part of the keys.
func (w *tileWaves) sums(task, worker int) {
	t, at := w.task(task%w.attr.KVHeads, worker), task/w.attr.KVHeads*tilePart
	i := 0
	for ; at >= w.wave[i].n; i++ {
		at -= panelsOf(w.wave[i].n, tilePart) * tilePart
	}
	b := w.block(t, i)
	to := min(at+tilePart, b.n)
	t.clearKeys(at, to)
	for head := range w.attend.group {
		for first := 0; first < w.panels; first += waveGroup {
			if g := t.tile(head, first, at, b); g.panels > 0 {
				w.keep(t, i, g)
				t.sumKeys(g)
			}
		}
	}
	t.multiply()
	t.addKeys(b, at, to, w.from)
}
