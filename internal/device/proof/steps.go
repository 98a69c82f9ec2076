package proof

import (
	"math"

	"align/internal/device"
)

// norms are those of layers and of heads, with their gradients, and a bias's.
func norms() []*scene {
	s := newScene()
	for _, width := range []int{264, 33} {
		attr, cols := device.Norm{Eps: 1e-5, Width: width}, 264
		x, w, dy := s.act(9, cols), s.wide(width, 1), s.act(9, cols)
		s.call("rmsnorm", attr, list(s.out(device.BF16, 9, cols, 0)), list(x, w))
		s.call("rmsnorm_dx", attr, list(s.out(device.BF16, 9, cols, 0)), list(x, w, dy))
		s.adding("rmsnorm_dw", attr, list(s.out(device.F32, width, 1, 0)), list(x, dy))
	}
	s.adding("bias_grad", nil, list(s.out(device.F32, 72, 1, 0)), list(s.act(40, 72)))
	return []*scene{s, joinedNorm()}
}

// joinedNorm is add_rmsnorm, which the reference makes of two.
func joinedNorm() *scene {
	s := newScene()
	attr, a, b, w := device.Norm{Eps: 1e-5, Width: 264}, s.act(5, 264), s.act(5, 264), s.wide(264, 1)
	sum, y := s.out(device.BF16, 5, 264, 0), s.out(device.BF16, 5, 264, 1)
	s.call("add_rmsnorm", attr, list(sum, y), list(a, b, w))
	s.instead = []call{
		{kernel: "add", out: list(sum), in: list(a, b)},
		{kernel: "rmsnorm", attr: attr, out: list(y), in: list(sum, w)},
	}
	return s
}

func rotations() []*scene {
	const n, width = 7, 32
	s := newScene()
	frequencies := make([]float64, width/2)
	for i := range frequencies {
		frequencies[i] = math.Pow(500000, -float64(2*i)/width)
	}
	table := s.out(device.F32, n, width, 0)
	s.call("rope_table", device.RopeTable{InvFreq: frequencies}, list(table), list(s.ints(0, 1, 2, 100, 8191, 100000, 5)))
	x := s.act(n, 3*width)
	for _, inverse := range []bool{false, true} {
		s.call("rope", device.Rope{HeadDim: width, Inverse: inverse}, list(s.out(device.BF16, n, 3*width, 0)), list(x, table))
	}
	return []*scene{s, joinedRope(frequencies)}
}

// joinedRope is rope_cache, seen through attention over what it wrote.
func joinedRope(frequencies []float64) *scene {
	const n = 2
	s := newScene()
	width := 2 * len(frequencies)
	attr := heads2(width)
	table, cache := s.hidden(device.F32, n, width), func() *tensor { return s.hidden(device.BF16, device.PageRows, width) }
	keys, values, slot := cache(), cache(), s.ints(0, 1)
	q, k, v := s.act(n, 2*width), s.act(n, width), s.act(n, width)
	y, o := s.out(device.BF16, n, 2*width, 0), s.out(device.BF16, n, 2*width, 6)
	turned := s.hidden(device.BF16, n, width) // of the reference
	page := s.ints(0)
	rope := device.Rope{HeadDim: width}
	angles := call{kernel: "rope_table", attr: device.RopeTable{InvFreq: frequencies}, out: list(table), in: list(s.ints(3, 4))}
	look := call{kernel: "attention_cached", attr: attr, out: list(o), in: list(y, keys, values, s.ints(0, 0), s.ints(1, 2), page, s.ints(0))}
	s.calls = []call{angles, {kernel: "rope_cache", attr: rope, out: list(y, keys, values), in: list(q, k, v, table, slot)}, look}
	s.instead = []call{
		angles,
		{kernel: "rope", attr: rope, out: list(y), in: list(q, table)},
		{kernel: "rope", attr: rope, out: list(turned), in: list(k, table)},
		{kernel: "cache_write", attr: device.Cache{HeadDim: width}, out: list(keys), in: list(turned, slot)},
		{kernel: "cache_write", attr: device.Cache{HeadDim: width, Values: true}, out: list(values), in: list(v, slot)},
		look,
	}
	return s
}

func elements() []*scene {
	const n, cols = 9, 72
	s := newScene()
	out := func() *tensor { return s.out(device.BF16, n, cols, 0) }
	g, u, dy := s.act(n, cols), s.act(n, cols), s.act(n, cols)
	s.call("add", nil, list(out()), list(g, u))
	s.call("add", nil, list(s.out(device.F32, n, cols, 0)), list(s.wide(n, cols), s.wide(n, cols)))
	s.call("add", nil, list(s.out(device.F64, 300, 1, 0)), list(s.normal(device.F64, 300, 1, 1), s.normal(device.F64, 300, 1, 1)))
	s.call("swiglu", nil, list(out()), list(g, u))
	s.call("swiglu_grad", nil, list(out(), out(), out()), list(g, u, dy))
	s.call("zero", nil, list(s.out(device.F32, 33, 5, 0)), nil)
	drop, key, seed := device.Dropout{P: 0.25, Stream: 3}, s.ints(0, 1, 2, 3, 70, 71, 72, 1<<30, 5), s.ints(12345, -6789)
	s.call("dropout", drop, list(out()), list(g, key, seed))
	mask := s.out(device.I32, n, (cols+31)/32, 0)
	s.call("dropout_mask", drop, list(mask), list(key, seed))
	s.call("matmul_tn", device.MatMul{Alpha: 1}, list(s.out(device.F32, cols, cols, 2)), list(dy, u, mask))
	return []*scene{s}
}

func rows() []*scene {
	s := newScene()
	for _, typ := range weightTypes() {
		s.call("embed", nil, list(s.out(device.BF16, 3, 256, 1)), list(s.frozen(typ, 9, 256), s.ints(8, 0, 3)))
	}
	x, some, index := s.act(9, 40), s.act(5, 40), s.ints(3, 0, 8, 3, 3)
	s.call("gather", nil, list(s.out(device.BF16, 5, 40, 0)), list(x, index))
	s.call("scatter", nil, list(s.out(device.BF16, 9, 40, 1)), list(some, index, x))
	s.adding("embed_dw", nil, list(s.out(device.F32, 9, 40, 0)), list(some, index))
	return []*scene{s, cached(32, 70)}
}

func magnitudes() []*scene {
	const t, n, rank = 9, 40, 4
	s := newScene()
	// Large squares of rows: the lengths are far from 0 whatever the rest is.
	squares := s.positive(device.F64, n)
	for i := range squares.values {
		squares.values[i] += 500
	}
	s.call("dora_norm", device.LoRA{Scale: 0.75}, list(s.out(device.F32, n, 1, 0)), list(squares, s.wide(n, rank), s.wide(rank, n), s.wide(rank, rank)))
	z, m, length, dy := s.act(t, n), s.wide(n, 1), s.positive(device.F32, n), s.act(t, n)
	s.call("dora_scale", device.DoRA{Shift: 1}, list(s.out(device.BF16, t, n, 0)), list(z, m, length, s.wide(n, 1)))
	s.adding("dora_dm", nil, list(s.out(device.F32, n, 1, 0)), list(z, length, dy))
	return []*scene{s}
}

// vectors have all operations of losses.
func vectors() []*scene {
	const n = 300
	s := newScene()
	vector := func() *tensor { return s.out(device.F64, n, 1, 0) }
	x, y, positive := s.normal(device.F64, n, 1, 1), s.normal(device.F64, n, 1, 1), s.positive(device.F64, n)
	for _, op := range []string{"neg", "scale", "shift", "square", "exp", "log", "softplus", "sigmoid", "relu", "step", "reciprocal", "clamp", "inside", "tanh", "sign"} {
		in := x
		if op == "log" || op == "reciprocal" {
			in = positive
		}
		s.call("vec_unary", device.Vec{Op: op, Const: 0.5, Lo: -0.25, Hi: 1.5}, list(vector()), list(in))
	}
	for _, op := range []string{"add", "sub", "mul", "div", "max", "min", "greater"} {
		s.call("vec_binary", device.Vec{Op: op}, list(vector()), list(y, positive))
	}
	s.call("vec_sum", nil, list(s.out(device.F64, 1, 1, 0)), list(x))
	s.call("vec_fill", nil, list(vector()), list(s.of(device.F64, 0.75), x))
	s.call("vec_convert", nil, list(vector()), list(s.wide(n, 1)))
	s.call("vec_convert", nil, list(s.out(device.F32, n, 1, 0)), list(x))
	index := make([]int, n)
	for i := range index {
		index[i] = s.rng.IntN(7)
	}
	at, few := s.ints(index...), s.of(device.F64, 1, -2, 3, 0.5, 8, 0, 7)
	s.call("segment_sum", nil, list(s.out(device.F64, 7, 1, 0)), list(s.wide(n, 1), at))
	s.call("segment_sum_grad", nil, list(s.out(device.F32, n, 1, 0)), list(few, at))
	s.call("vec_gather", nil, list(vector()), list(few, at))
	s.call("vec_scatter", nil, list(s.out(device.F64, 7, 1, 0)), list(x, at, few))
	return []*scene{s}
}

// updates are steps of AdamW, one of which must leave everything as it was.
func updates() []*scene {
	const n = 4200
	s := newScene()
	g := s.wide(n, 1)
	s.call("sum_squares", nil, list(s.out(device.F64, 1, 1, 0)), list(g))
	for _, clip := range []float64{0.5, math.NaN()} {
		control := s.of(device.F64, clip, 1e-2, 0.271, 0.0297)
		var state [3]*tensor
		for i := range state {
			state[i] = s.positive(device.F32, n)
			state[i].checked = true
		}
		s.call("adamw", device.AdamW{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1}, state[:], list(g, control))
	}
	return []*scene{s}
}

// draws are tokens of rows in which two ids have all but the whole weight: the first
// of them at temperature 0, else the one that the uniform number falls on.
func draws() []*scene {
	const n, v, low, high = 3, 1000, 100, 900
	s := newScene()
	z, uniform := s.wide(n, v), s.of(device.F64, 0.25, 0.75, 0.4)
	for i := range n {
		z.values[i*v+low+i], z.values[i*v+high+i] = 16, 16
	}
	for _, attr := range []device.Sampling{{TopP: 1}, {Temperature: 0.75, TopP: 1}, {Temperature: 1, TopK: 40, TopP: 0.9, MinP: 0.01}} {
		ids, lps := make([]float64, n), make([]float64, n)
		for i, u := range uniform.values {
			best := low + i
			if attr.Temperature > 0 && u > 0.5 {
				best = high + i
			}
			ids[i], lps[i] = float64(best), logSoftmax(z.values[i*v:(i+1)*v], best, attr.Temperature)
		}
		id, lp := s.out(device.I32, n, 1, 0), s.out(device.F64, n, 1, 0)
		id.want, lp.want = ids, lps
		s.call("sample", attr, list(id, lp), list(z, uniform))
	}
	s.instead = []call{} // the reference draws nothing
	return []*scene{s}
}

// logSoftmax is the log-probability of logit i under the softmax of z/temperature, 1
// where that is 0.
func logSoftmax(z []float64, i int, temperature float64) float64 {
	if temperature == 0 {
		temperature = 1
	}
	sum := 0.0
	for _, x := range z {
		sum += math.Exp((x - z[i]) / temperature)
	}
	return -math.Log(sum)
}
