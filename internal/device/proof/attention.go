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

// forward is attention of a pack, with what its gradient reads.
func forward(s *scene, attr device.Attention, p pack) (o, lse *tensor, in []*tensor) {
	n, width := p.len(), attr.HeadDim
	o, lse = s.out(device.BF16, n, attr.Heads*width, 4), s.out(device.F32, n, attr.Heads, 4)
	in = append(list(s.act(n, attr.Heads*width), s.act(n, attr.KVHeads*width), s.act(n, attr.KVHeads*width)), p.masks(s)...)
	s.call("attention", attr, list(o, lse), in)
	return o, lse, in
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

func gradients(widths ...int) (all []*scene) {
	for _, width := range widths {
		s := newScene()
		attr, p := heads2(width), shared()
		o, lse, in := forward(s, attr, p)
		do := s.act(o.rows, o.cols)
		out := func(like *tensor) *tensor { return s.out(device.BF16, like.rows, like.cols, 6) }
		s.call("attention_grad", attr, list(out(in[0]), out(in[1]), out(in[2])), append(list(in[0], in[1], in[2], o, lse, do), in[3:]...))
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
