package devicetest

import (
	"bytes"
	"fmt"
	"testing"

	"align/internal/device"
)

// cacheTrials: cache_write. attention_cached is held to attention's bits by
// checkCache.
func cacheTrials(g *gen) []trial {
	var list []trial
	for i, n := range sizes {
		rows, cols := n+size(i+3)+1, size(i*5+1)+1
		x, cache := g.a(n, cols), g.a(rows, cols)
		slots := g.rng.Perm(rows)[:n]
		r := makeTrial("cache_write", fmt.Sprintf("T%d,S%d,C%d", n, rows, cols), nil, []tensor{x, ints(slots...)},
			[]tensor{empty(g.act, rows, cols)}, func() [][]float64 {
				want := append([]float64(nil), cache.f...)
				for t, s := range slots {
					copy(want[s*cols:(s+1)*cols], x.f[t*cols:(t+1)*cols])
				}
				return one(want)
			})
		r.before = []tensor{cache}
		list = append(list, r)
	}
	return list
}

// paged is a pack whose keys lie in shuffled pages: the vectors of
// attention_cached for its rows.
type paged struct {
	sequence, own []int
	table         [][]int // pages of each sequence
	prefix        []int   // prefix length of each sequence
	slots         []int   // row of the cache for each row of the pack
	rows          int     // rows of the cache
}

// pagesFor lays out a pack that begins with a prompt of the given length, or
// with none, followed by answers that see it.
func pagesFor(g *gen, prompt int, answers []int) *paged {
	count := func(n int) int { return (n + device.PageRows - 1) / device.PageRows }
	total := count(prompt)
	for _, n := range answers {
		total += count(n)
	}
	free := g.rng.Perm(total + 3)
	p := &paged{rows: len(free) * device.PageRows}
	lay := func(n int) []int {
		pages := free[:count(n)]
		free = free[count(n):]
		for i := range n {
			p.slots = append(p.slots, pages[i/device.PageRows]*device.PageRows+i%device.PageRows)
			p.sequence, p.own = append(p.sequence, len(p.table)), append(p.own, i+1)
		}
		return pages
	}
	var shared []int
	if prompt > 0 {
		shared = lay(prompt)
		p.table, p.prefix = append(p.table, shared), append(p.prefix, 0)
	}
	for _, n := range answers {
		pages := append(append([]int(nil), shared...), lay(n)...)
		p.table, p.prefix = append(p.table, pages), append(p.prefix, prompt)
	}
	return p
}

// tables are the inputs sequence, own, pages and prefix for some rows.
func (p *paged) tables(rows []int) []tensor {
	width := 0
	for _, pages := range p.table {
		width = max(width, len(pages))
	}
	var sequence, own, flat []int
	for _, t := range rows {
		sequence, own = append(sequence, p.sequence[t]), append(own, p.own[t])
	}
	for _, pages := range p.table {
		for i := range width {
			page := -1 // never read
			if i < len(pages) {
				page = pages[i]
			}
			flat = append(flat, page)
		}
	}
	pages := ints(flat...)
	pages.rows, pages.cols = len(p.table), width
	return []tensor{ints(sequence...), ints(own...), pages, ints(p.prefix...)}
}

// checkCache: rows that attend over a cache, all at once or one row of each
// sequence at a time, have the bits of the same rows in a pack.
func checkCache(t *testing.T, b device.Backend, act device.Type) {
	attr := device.Attention{Heads: 4, KVHeads: 2, HeadDim: 8, Scale: 0.4}
	for _, s := range []struct {
		prompt  int
		answers []int
	}{{0, []int{1}}, {0, []int{64, 65, 3}}, {0, []int{130}}, {7, []int{2, 9}}, {64, []int{1, 70}}, {70, []int{67, 5, 64}}} {
		g := newGen(act)
		var p pack
		if s.prompt > 0 {
			p.answers(s.prompt, s.answers...)
		} else {
			for _, n := range s.answers {
				p.document(n)
			}
		}
		n := p.len()
		q, k, v := g.a(n, 32), g.a(n, 16), g.a(n, 16)
		forward := makeTrial("attention", "cache", attr, append([]tensor{q, k, v}, p.vectors()...),
			[]tensor{empty(act, n, 32), empty(act.Wide(), n, 4)}, nil)
		want := forward.run(t, b, options{skip: -1})[0]
		cache := pagesFor(g, s.prompt, s.answers)
		keys, values := cache.spread(k), cache.spread(v)
		width := q.cols * act.Size()
		for _, rows := range cache.batches() {
			var some tensor
			some.typ, some.rows, some.cols = act, len(rows), q.cols
			var expect []byte
			for _, i := range rows {
				some.raw = append(some.raw, q.raw[i*width:(i+1)*width]...)
				expect = append(expect, want[i*width:(i+1)*width]...)
			}
			r := makeTrial("attention_cached", fmt.Sprintf("prompt %d, answers %v, rows %v", s.prompt, s.answers, rows), attr,
				append([]tensor{some, keys, values}, cache.tables(rows)...), []tensor{empty(act, len(rows), q.cols)}, nil)
			if got := r.run(t, b, options{skip: -1}); !bytes.Equal(got[0], expect) {
				t.Errorf("%s: the bits differ from the pack's", r.name)
			}
		}
	}
}

// spread lays a pack's rows into the cache; what no page holds reads as NaN.
func (p *paged) spread(x tensor) tensor {
	width := x.cols * x.typ.Size()
	cache := tensor{typ: x.typ, rows: p.rows, cols: x.cols, raw: bytes.Repeat([]byte{0xff}, p.rows*width)}
	for t, slot := range p.slots {
		copy(cache.raw[slot*width:], x.raw[t*width:(t+1)*width])
	}
	return cache
}

// batches are choices of rows as a program makes them: all at once, and the
// last rows of all sequences.
func (p *paged) batches() [][]int {
	all := make([]int, len(p.own))
	var last []int
	for t := range all {
		all[t] = t
		if t+1 == len(all) || p.sequence[t+1] != p.sequence[t] {
			last = append(last, t)
		}
	}
	return [][]int{all, last, all[len(all)/2:]}
}
