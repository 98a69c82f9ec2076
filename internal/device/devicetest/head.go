package devicetest

import (
	"fmt"
	"math"

	"align/internal/device"
)

// headTrials: logprob, logprob_dx, logprob_dw; the largest cross the borders
// of vocabulary chunks and row blocks.
func headTrials(g *gen) []trial {
	var list []trial
	cases := [][3]int{{9, 2051, 16}, {261, 33, 5}, {3, 1024, 8}}
	for i, n := range sizes {
		cases = append(cases, [3]int{n, size(i+7) + 2, size(i*3+1) + 1})
	}
	cases = append(cases, [3]int{1029, 17, 5})
	for i, s := range cases {
		n, v, c := s[0], s[1], s[2]
		h, w := g.normal(g.act, n, c, 0.5), g.normal(weightTypes[i%4], v, c, 0.5)
		targets := g.ints(n, 0, v)
		for k := 0; k < n; k += 4 {
			targets.set(k, -1)
		}
		if n > 3 && v > 3 { // a tie of the largest logit: the lowest id wins
			targets.set(1, 2)
			for _, row := range []int{2, 3, v - 1} {
				for j := range c {
					w.set(row*c+j, 8/math.Sqrt(float64(c))*h.at(1, j))
				}
			}
		}
		t := [...]float64{0, 1, 0.7}[i%3]
		list = append(list, headTrial(g, fmt.Sprintf("N%d,V%d,C%d,T%g,%s", n, v, c, t, w.typ), device.LogProb{Temperature: t}, h, w, targets)...)
	}
	return list
}

// slopeTrials: logprob with slopes, and scale_rows, of a device.Sloper.
func slopeTrials(g *gen) []trial {
	list := []trial{}
	for _, r := range headTrials(g) {
		if r.kernel == "logprob" {
			list = append(list, slopeTrial(g, r))
		}
	}
	for i, n := range sizes {
		c := size(i*3+1) + 1
		x, s := g.w(n, c), g.w(n, 1)
		y := makeTrial("scale_rows", fmt.Sprintf("N%d,C%d", n, c), nil, []tensor{x, s}, []tensor{empty(g.act, n, c)},
			func() [][]float64 { return one(fill(n, c, func(i, j int) float64 { return s.f[i] * x.at(i, j) })) })
		y.byRows = []int{0, 1}
		if g.act == g.act.Wide() {
			y.aliases = [][2]int{{0, 0}}
		}
		list = append(list, y)
	}
	return list
}

// slopeTrial is a trial of logprob with the fifth output.
func slopeTrial(g *gen, r trial) trial {
	h, w, targets := r.in[0], r.in[1], r.in[2]
	temperature := r.attr.(device.LogProb).Temperature
	if temperature == 0 {
		temperature = 1
	}
	vectors := r.want
	r.name += ",slope"
	r.out = append(r.out, empty(g.act.Wide(), h.rows, h.cols))
	r.want = func() [][]float64 {
		z, out := logits(h, w, temperature), vectors()
		d := zeros(h.rows, w.rows)
		for i := range h.rows {
			if targets.id(i) < 0 {
				continue
			}
			lse, _, _ := z.softmax(i)
			for v := range w.rows {
				d.set(i, v, -math.Exp(z.at(i, v)-lse)/temperature)
			}
			d.add(i, targets.id(i), 1/temperature)
		}
		return append(out, dotOracle(h.rows, h.cols, w.rows, d.at, turned(w)).f)
	}
	return r
}

// logits are h w'/temperature.
func logits(h, w tensor, temperature float64) matrix {
	z := dotOracle(h.rows, w.rows, h.cols, h.at, w.at)
	if temperature > 0 {
		for i := range z.f {
			z.f[i] /= temperature
		}
	}
	return z
}

// softmax is lse and entropy of row i.
func (m matrix) softmax(i int) (lse, entropy float64, best int) {
	row := m.f[i*m.cols:][:m.cols]
	top := math.Inf(-1)
	for j, z := range row {
		if z > top {
			top, best = z, j
		}
	}
	sum := 0.0
	for _, z := range row {
		sum += math.Exp(z - top)
	}
	lse = top + math.Log(sum)
	for _, z := range row {
		entropy -= math.Exp(z-lse) * (z - lse)
	}
	return lse, entropy, best
}

func headTrial(g *gen, name string, attr device.LogProb, h, w, targets tensor) []trial {
	n, v := h.rows, w.rows
	vector := empty(g.wide(), n, 1)
	forward := makeTrial("logprob", name, attr, []tensor{h, w, targets}, []tensor{vector, vector, vector, vector}, func() [][]float64 {
		z := logits(h, w, attr.Temperature)
		out := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
		for i := range n {
			lse, entropy, best := z.softmax(i)
			out[1][i], out[2][i] = lse, entropy
			if target := targets.id(i); target >= 0 {
				out[0][i] = z.at(i, target) - lse
				if best == target {
					out[3][i] = 1
				}
			}
		}
		return out
	})
	forward.placed, forward.byRows, forward.optional = 1, []int{0, 2}, true
	dlp, lse := g.w(n, 1), g.w(n, 1)
	z := logits(h, w, attr.Temperature)
	for i := range n {
		l, _, _ := z.softmax(i)
		lse.set(i, l)
	}
	temperature := attr.Temperature
	if temperature == 0 {
		temperature = 1
	}
	dz := func() matrix {
		d := zeros(n, v)
		for i := range n {
			if targets.id(i) < 0 {
				continue
			}
			for j := range v {
				d.set(i, j, -dlp.f[i]*math.Exp(z.at(i, j)-lse.f[i])/temperature)
			}
			d.add(i, targets.id(i), dlp.f[i]/temperature)
		}
		return d
	}
	in := []tensor{h, w, targets, lse, dlp}
	dx := makeTrial("logprob_dx", name, attr, in, []tensor{empty(g.act, n, h.cols)}, func() [][]float64 {
		return one(dotOracle(n, h.cols, v, dz().at, turned(w)).f)
	})
	dx.placed, dx.byRows = 1, []int{0, 2, 3, 4}
	dw := makeTrial("logprob_dw", name, attr, in, []tensor{empty(g.wide(), v, h.cols)}, func() [][]float64 {
		d := dz()
		return one(dotOracle(v, h.cols, n, func(j, i int) float64 { return d.at(i, j) }, turned(h)).f)
	})
	dw.placed, dw.accumulate = 1, true
	return []trial{forward, dx, dw}
}
