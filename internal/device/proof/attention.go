package proof

import (
	"math"

	"align/internal/device"
)

// pack is the mask vectors of rows that lie side by side.
type pack struct{ prefixStart, prefixEnd, segmentStart []int }

// segment appends n rows that see the prefix [from, to) and their own.
func (p *pack) segment(n, from, to int) {
	at := p.len()
	for range n {
		p.prefixStart, p.prefixEnd, p.segmentStart = append(p.prefixStart, from), append(p.prefixEnd, to), append(p.segmentStart, at)
	}
}

func (p *pack) len() int { return len(p.segmentStart) }

func (p *pack) masks(s *scene) []*tensor {
	return list(s.ints(p.prefixStart...), s.ints(p.prefixEnd...), s.ints(p.segmentStart...))
}

// shared is a document and a prompt before two answers, across borders of tiles.
func shared() (p pack) {
	p.segment(9, 0, 0)
	p.segment(70, 9, 9)
	p.segment(5, 9, 79)
	p.segment(67, 9, 79)
	return p
}

func heads2(width int) device.Attention {
	return device.Attention{Heads: 2, KVHeads: 1, HeadDim: width, Scale: 1 / math.Sqrt(float64(width))}
}

// sides are q, k and v.
func sides(s *scene, attr device.Attention, n int) []*tensor {
	return list(s.act(n, attr.Heads*attr.HeadDim), s.act(n, attr.KVHeads*attr.HeadDim), s.act(n, attr.KVHeads*attr.HeadDim))
}

// forward is attention of a pack.
func forward(s *scene, attr device.Attention, p pack) {
	n := p.len()
	s.call("attention", attr, list(s.out(device.BF16, n, attr.Heads*attr.HeadDim, 4), s.out(device.F32, n, attr.Heads, 4)),
		append(sides(s, attr, n), p.masks(s)...))
}

func attentions(widths ...int) (all []*scene) {
	for _, width := range widths {
		s := newScene()
		forward(s, heads2(width), shared())
		all = append(all, s)
	}
	return all
}

// long is a pack in which few rows see more than 1024 keys, which are summed in parts.
func long(width int) *scene {
	var p pack
	for range 106 {
		p.segment(10, 0, 0)
	}
	p.segment(20, 0, 1060)
	s := newScene()
	attr := heads2(width)
	attr.Heads = 1
	forward(s, attr, p)
	return s
}

// gradients take an o and lse that no forward pass has made, so that they need none:
// the formulae hold for any.
func gradients(widths ...int) (all []*scene) {
	for _, width := range widths {
		s := newScene()
		attr, p := heads2(width), shared()
		in := sides(s, attr, p.len())
		o, do, lse := s.act(p.len(), in[0].cols), s.act(p.len(), in[0].cols), s.wide(p.len(), attr.Heads)
		for i := range lse.values {
			lse.values[i] += 5 // about that of 150 keys
		}
		out := func(like *tensor) *tensor { return s.out(device.BF16, like.rows, like.cols, 6) }
		s.call("attention_grad", attr, list(out(in[0]), out(in[1]), out(in[2])), append(append(in, o, lse, do), p.masks(s)...))
		all = append(all, s)
	}
	return all
}

// cached is a decoded row behind a prefix in pages, and one behind its own keys alone.
// Where the table is for more than 1024 keys, parts of them have blocks of their own.
func cached(width, prompt int) *scene {
	const own = 5
	pages := prompt/device.PageRows + 2
	s := newScene()
	attr := heads2(width)
	table, slots := make([]int, 2*pages), make([]int, 0, prompt+own)
	for i := range pages {
		table[i], table[pages+i] = pages-1-i, pages-1-i // out of order
	}
	at := func(position int) int {
		return table[position/device.PageRows]*device.PageRows + position%device.PageRows
	}
	for i := range prompt {
		slots = append(slots, at(i))
	}
	// A prefix is whole pages: what a row itself has begins on the next.
	first := (prompt + device.PageRows - 1) / device.PageRows * device.PageRows
	for i := range own {
		slots = append(slots, at(first+i))
	}
	slot := s.ints(slots...)
	var caches [2]*tensor
	for i := range caches {
		caches[i] = s.hidden(device.BF16, pages*device.PageRows, width)
		s.call("cache_write", device.Cache{HeadDim: width, Values: i == 1}, list(caches[i]), list(s.act(len(slots), width), slot))
	}
	ids := s.ints(table...)
	ids.rows, ids.cols = 2, pages
	s.call("attention_cached", attr, list(s.out(device.BF16, 2, attr.Heads*width, 4)),
		list(s.act(2, attr.Heads*width), caches[0], caches[1], s.ints(0, 1), s.ints(own, prompt-8), ids, s.ints(prompt, 0)))
	return s
}
