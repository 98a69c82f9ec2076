package devicetest

import (
	"fmt"
	"math"

	"align/internal/device"
)

// pack is the mask vectors of one pack.
type pack struct{ prefixStart, prefixEnd, segmentStart []int }

// document appends n tokens that see only themselves.
func (p *pack) document(n int) {
	at := len(p.segmentStart)
	p.segment(n, at, at)
}

// segment appends n tokens that also see the prefix [from, to).
func (p *pack) segment(n, from, to int) {
	at := len(p.segmentStart)
	for range n {
		p.prefixStart, p.prefixEnd = append(p.prefixStart, from), append(p.prefixEnd, to)
		p.segmentStart = append(p.segmentStart, at)
	}
}

// answers appends a prompt and answers that share it.
func (p *pack) answers(prompt int, lengths ...int) {
	at := len(p.segmentStart)
	p.document(prompt)
	for _, n := range lengths {
		p.segment(n, at, at+prompt)
	}
}

func (p *pack) len() int { return len(p.segmentStart) }

func (p *pack) sees(i, j int) bool {
	return p.prefixStart[i] <= j && j < p.prefixEnd[i] || p.segmentStart[i] <= j && j <= i
}

func (p *pack) vectors() []tensor {
	return []tensor{ints(p.prefixStart...), ints(p.prefixEnd...), ints(p.segmentStart...)}
}

// attentionTrials: attention, attention_grad, on plain, packed and shared rows.
func attentionTrials(g *gen) []trial {
	var list []trial
	for i, n := range sizes {
		var p pack
		p.document(n)
		h := [...]device.Attention{{Heads: 1, KVHeads: 1, HeadDim: 8}, {Heads: 4, KVHeads: 2, HeadDim: 5}, {Heads: 3, KVHeads: 1, HeadDim: 16}}[i%3]
		list = append(list, attentionTrial(g, fmt.Sprintf("T%d", n), h, p)...)
	}
	var docs, shared, mixed pack
	for _, n := range []int{1, 70, 9, 64, 3} {
		docs.document(n)
	}
	shared.answers(70, 5, 67)
	mixed.document(13)
	mixed.answers(9, 1, 40, 8)
	mixed.answers(65, 2, 2)
	h := device.Attention{Heads: 4, KVHeads: 2, HeadDim: 12}
	list = append(list, attentionTrial(g, "documents", h, docs)...)
	list = append(list, attentionTrial(g, "shared prompt", h, shared)...)
	list = append(list, attentionTrial(g, "documents", device.Attention{Heads: 2, KVHeads: 1, HeadDim: 40}, docs)...)
	return append(list, attentionTrial(g, "mixed", h, mixed)...)
}

// weights are the attention weights of one query row and head, and their lse.
func weights(attr device.Attention, q, k tensor, p *pack, i, head int) (w []float64, lse float64) {
	d, kv := attr.HeadDim, head/(attr.Heads/attr.KVHeads)
	w = make([]float64, p.len())
	top := math.Inf(-1)
	for j := range w {
		w[j] = math.Inf(-1)
		if p.sees(i, j) {
			w[j] = 0
			for c := range d {
				w[j] += q.at(i, head*d+c) * k.at(j, kv*d+c) * attr.Scale
			}
			top = max(top, w[j])
		}
	}
	sum := 0.0
	for j := range w {
		w[j] = math.Exp(w[j] - top)
		sum += w[j]
	}
	for j := range w {
		w[j] /= sum
	}
	return w, top + math.Log(sum)
}

func attentionTrial(g *gen, name string, attr device.Attention, p pack) []trial {
	n, qCols, kvCols := p.len(), attr.Heads*attr.HeadDim, attr.KVHeads*attr.HeadDim
	attr.Scale = 1 / math.Sqrt(float64(attr.HeadDim))
	name = fmt.Sprintf("%s,H%d,K%d,D%d", name, attr.Heads, attr.KVHeads, attr.HeadDim)
	q, k, v, do := g.a(n, qCols), g.a(n, kvCols), g.a(n, kvCols), g.a(n, qCols)
	o, lse := attentionOracle(attr, q, k, v, &p)
	forward := makeTrial("attention", name, attr, append([]tensor{q, k, v}, p.vectors()...),
		[]tensor{empty(g.act, n, qCols), empty(g.wide(), n, attr.Heads)}, func() [][]float64 { return [][]float64{o.f, lse.f} })
	in := []tensor{q, k, v, newTensor(g.act, n, qCols, o.f), newTensor(g.wide(), n, attr.Heads, lse.f), do}
	backward := makeTrial("attention_grad", name, attr, append(in, p.vectors()...),
		[]tensor{empty(g.act, n, qCols), empty(g.act, n, kvCols), empty(g.act, n, kvCols)},
		func() [][]float64 { return attentionGradOracle(attr, q, k, v, do, o, &p) })
	forward.optional, backward.optional = true, true
	return []trial{forward, backward}
}

func attentionOracle(attr device.Attention, q, k, v tensor, p *pack) (o, lse matrix) {
	n, d := p.len(), attr.HeadDim
	o, lse = zeros(n, attr.Heads*d), zeros(n, attr.Heads)
	for i := range n {
		for head := range attr.Heads {
			w, l := weights(attr, q, k, p, i, head)
			lse.set(i, head, l)
			kv := head / (attr.Heads / attr.KVHeads)
			for j, x := range w {
				for c := range d {
					o.add(i, head*d+c, x*v.at(j, kv*d+c))
				}
			}
		}
	}
	return o, lse
}

func attentionGradOracle(attr device.Attention, q, k, v, do tensor, o matrix, p *pack) [][]float64 {
	n, d := p.len(), attr.HeadDim
	dq, dk, dv := zeros(n, attr.Heads*d), zeros(n, attr.KVHeads*d), zeros(n, attr.KVHeads*d)
	for i := range n {
		for head := range attr.Heads {
			w, _ := weights(attr, q, k, p, i, head)
			kv := head / (attr.Heads / attr.KVHeads)
			delta := 0.0
			for c := range d {
				delta += do.at(i, head*d+c) * o.at(i, head*d+c)
			}
			for j, x := range w {
				dp := 0.0
				for c := range d {
					dp += do.at(i, head*d+c) * v.at(j, kv*d+c)
				}
				ds := x * (dp - delta) * attr.Scale
				for c := range d {
					dv.add(j, kv*d+c, x*do.at(i, head*d+c))
					dq.add(i, head*d+c, ds*k.at(j, kv*d+c))
					dk.add(j, kv*d+c, ds*q.at(i, head*d+c))
				}
			}
		}
	}
	return [][]float64{dq.f, dk.f, dv.f}
}
