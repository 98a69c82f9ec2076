package devicetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
)

// cacheTrials call cache_write and attention_cached, whose values checkCache holds
// to attention's bits: how a page holds them is the backend's own choice.
func cacheTrials(g *gen) []trial {
	var list []trial
	for i, n := range sizes {
		attr := device.Attention{Heads: 3, KVHeads: 1, HeadDim: []int{8, 32, 64}[i%3], Scale: 0.3}
		cache := pagesFor(g, 0, []int{n + 1})
		q, x, pages := g.a(1, 3*attr.HeadDim), g.a(n+1, attr.HeadDim), empty(g.act, cache.rows, attr.HeadDim)
		zero := newTensor(g.act, pages.rows, pages.cols, make([]float64, pages.rows*pages.cols))
		write := makeTrial("cache_write", fmt.Sprintf("T%d,D%d", n+1, attr.HeadDim), device.Cache{HeadDim: attr.HeadDim, Values: i%2 > 0},
			[]tensor{x, ints(cache.slots...)}, []tensor{pages}, func() [][]float64 { return nil })
		read := makeTrial("attention_cached", fmt.Sprintf("P%d,D%d", n+1, attr.HeadDim), attr,
			append([]tensor{q, zero, zero}, cache.tables([]int{n})...), []tensor{empty(g.act, 1, q.cols)}, func() [][]float64 { return nil })
		write.unchecked, read.unchecked, write.before = true, true, []tensor{zero}
		list = append(list, write, read)
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
	for _, attr := range []device.Attention{
		{Heads: 4, KVHeads: 2, HeadDim: 8, Scale: 0.4}, {Heads: 3, KVHeads: 1, HeadDim: 32, Scale: 0.2},
	} {
		for _, s := range []struct {
			prompt  int
			answers []int
		}{{0, []int{1}}, {0, []int{64, 65, 3}}, {0, []int{130}}, {7, []int{2, 9}}, {64, []int{1, 70}}, {70, []int{67, 5, 64}}} {
			checkPaged(t, b, act, attr, s.prompt, s.answers)
		}
	}
}

// CheckCacheOf is the part of Check about a paged cache, for other heads.
func CheckCacheOf(t *testing.T, b device.Backend, act device.Type, attr device.Attention) {
	checkPaged(t, b, act, attr, 0, []int{1, 64, 65})
	checkPaged(t, b, act, attr, 0, []int{577, 3})
	checkPaged(t, b, act, attr, 67, []int{5, 97})
}

// CheckLongCache is the same with more keys than a backend may sum in one go: own
// keys, and a prefix with own keys behind it that ends where a part of them does not.
func CheckLongCache(t *testing.T, b device.Backend, act device.Type, attr device.Attention) {
	checkPaged(t, b, act, attr, 0, []int{1090, 3})
	checkPaged(t, b, act, attr, 970, []int{65, 150})
	checkPaged(t, b, act, attr, 1, []int{2080})
}

func checkPaged(t *testing.T, b device.Backend, act device.Type, attr device.Attention, prompt int, answers []int) {
	t.Helper()
	g := newGen(act)
	var p pack
	if prompt > 0 {
		p.answers(prompt, answers...)
	} else {
		for _, n := range answers {
			p.document(n)
		}
	}
	n, heads, kv := p.len(), attr.Heads*attr.HeadDim, attr.KVHeads*attr.HeadDim
	q, k, v := g.a(n, heads), g.a(n, kv), g.a(n, kv)
	forward := makeTrial("attention", "cache", attr, append([]tensor{q, k, v}, p.vectors()...),
		[]tensor{empty(act, n, heads), empty(act.Wide(), n, attr.Heads)}, nil)
	want := forward.run(t, b, options{skip: -1})[0]
	cache := pagesFor(g, prompt, answers)
	keys := cache.write(t, b, k, device.Cache{HeadDim: attr.HeadDim})
	values := cache.write(t, b, v, device.Cache{HeadDim: attr.HeadDim, Values: true})
	width := q.cols * act.Size()
	for _, rows := range cache.batches() {
		some := q.pick(rows)
		var expect []byte
		for _, i := range rows {
			expect = append(expect, want[i*width:(i+1)*width]...)
		}
		r := makeTrial("attention_cached", fmt.Sprintf("%+v, prompt %d, answers %v, rows %v", attr, prompt, answers, rows), attr,
			append([]tensor{some, keys, values}, cache.tables(rows)...), []tensor{empty(act, len(rows), q.cols)}, nil)
		if got := r.run(t, b, options{skip: -1}); !bytes.Equal(got[0], expect) {
			t.Errorf("%s: the bits differ from the pack's", r.name)
		}
	}
}

// pick is some rows of x.
func (x tensor) pick(rows []int) tensor {
	width := x.cols * x.typ.Size()
	some := tensor{typ: x.typ, rows: len(rows), cols: x.cols}
	for _, i := range rows {
		some.raw = append(some.raw, x.raw[i*width:(i+1)*width]...)
	}
	return some
}

// write brings a pack's rows into a cache in two calls, sequence by sequence and
// then a position of each sequence by turns. The cache read as NaN before; pages
// that the pack has not stay so.
func (p *paged) write(t *testing.T, b device.Backend, x tensor, attr device.Cache) tensor {
	t.Helper()
	half := len(p.slots) / 2
	cache := tensor{typ: x.typ, rows: p.rows, cols: x.cols, raw: bytes.Repeat([]byte{0xff}, p.rows*x.cols*x.typ.Size())}
	rest := make([]int, 0, len(p.slots))
	for i := half; i < len(p.slots); i++ {
		rest = append(rest, i)
	}
	slices.SortStableFunc(rest, func(a, b int) int { return p.own[a] - p.own[b] })
	first := make([]int, half)
	for i := range first {
		first[i] = i
	}
	for _, rows := range [][]int{first, rest} {
		slots := make([]int, len(rows))
		for i, row := range rows {
			slots[i] = p.slots[row]
		}
		r := makeTrial("cache_write", fmt.Sprintf("%+v, rows %v", attr, rows), attr, []tensor{x.pick(rows), ints(slots...)},
			[]tensor{empty(x.typ, p.rows, x.cols)}, nil)
		r.before = []tensor{cache}
		cache.raw = r.run(t, b, options{skip: -1})[0]
	}
	page := device.PageRows * x.cols * x.typ.Size()
	for i := range p.rows / device.PageRows {
		unused := !slices.ContainsFunc(p.slots, func(slot int) bool { return slot/device.PageRows == i })
		if unused && !bytes.Equal(cache.raw[i*page:(i+1)*page], bytes.Repeat([]byte{0xff}, page)) {
			t.Errorf("cache_write changed page %d, which is not its", i)
		}
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
