package proof

import "align/internal/device"

// products are scenes of a product each.
func products(y device.Type, sizes ...[3]int) (all []*scene) {
	for _, size := range sizes {
		s := newScene()
		product(s, size[0], size[1], size[2], y)
		all = append(all, s)
	}
	return all
}

// product is x w' with a bias, dy w added to what was there, and x' dy.
func product(s *scene, m, n, k int, y device.Type) {
	const inputs = 2
	x, w, dy, bias := s.act(m, k), s.frozen(device.BF16, n, k), s.act(m, n), s.wide(n, 1)
	s.call("linear", nil, list(s.out(y, m, n, inputs)), list(x, w, bias))
	s.adding("linear_dx", nil, list(s.out(y, m, k, inputs)), list(dy, w))
	s.call("matmul_tn", device.MatMul{Alpha: 0.5}, list(s.out(device.F32, n, k, inputs)), list(dy, x))
}

// mmaProducts have every tile of gemm.cu, at its edges: the large, small, slim, narrow
// and odd one; then a sum in parts.
func mmaProducts() []*scene {
	s := newScene()
	s.call("linear", nil, list(s.out(device.F32, 40, 33, 2)), list(s.act(40, 72), s.frozen(device.BF16, 33, 72)))
	x, w := s.act(4700, 8), s.act(4700, 16) // ten parts
	s.adding("matmul_tn", device.MatMul{Alpha: 0.5}, list(s.out(device.F32, 8, 16, 2)), list(x, w))
	all := products(device.BF16, [3]int{130, 136, 144}, [3]int{70, 72, 136}, [3]int{40, 72, 304})
	return append(append(all, s), products(device.F32, [3]int{40, 16, 72})...)
}

// wgmmaProducts have both tiles of gemm_sm90.cu at their edges, with more steps than
// stages, and an adapter's terms behind the others.
func wgmmaProducts() []*scene {
	s := newScene()
	adapter(s, 130, 120, 136, device.BF16)
	return append(products(device.BF16, [3]int{130, 248, 504}, [3]int{130, 120, 264}), s)
}

// bulkProducts are the same of gemm_tma.cu, which has six stages, and a sum in three parts.
func bulkProducts() []*scene {
	s := newScene()
	adapter(s, 130, 120, 136, device.BF16)
	s.call("matmul_tn", device.MatMul{Alpha: 0.5}, list(s.out(device.F32, 72, 80, 2)), list(s.act(1100, 72), s.act(1100, 80)))
	return append(products(device.BF16, [3]int{130, 248, 504}, [3]int{130, 120, 520}), s)
}

// vendorProducts are large enough for NVIDIA's library.
func vendorProducts() []*scene {
	s := newScene()
	product(s, 136, 136, 136, device.BF16)
	adapter(s, 136, 136, 136, device.BF16)
	return []*scene{s}
}

// rank is that of adapters.
const rank = 8

// layer is one with an adapter.
func layer(s *scene, m, n, k int, weight device.Type) (w, a, b *tensor) {
	const inputs = 4
	x := s.act(m, k)
	w, a, b = s.frozen(weight, n, k), s.normal(device.F32, rank, k, 0.25), s.wide(n, rank)
	s.call("lora_linear", device.LoRA{Scale: 0.5}, list(s.out(device.BF16, m, n, inputs), s.out(device.BF16, m, rank, inputs)), list(x, x, w, a, b))
	return w, a, b
}

// adapter is a layer with an adapter and its gradients.
func adapter(s *scene, m, n, k int, weight device.Type) {
	const inputs = 4
	w, a, b := layer(s, m, n, k, weight)
	dy, u, du := s.act(m, n), s.act(m, rank), s.act(m, rank)
	s.call("lora_du", device.LoRA{Scale: 0.5}, list(s.out(device.F32, n, rank, inputs), s.out(device.BF16, m, rank, inputs)), list(dy, b, u))
	s.call("lora_dx", nil, list(s.out(device.BF16, m, k, inputs)), list(dy, w, du, a))
}

// fewRows are layers of few rows with every type of weight.
func fewRows(m, n, k int) (all []*scene) {
	for _, typ := range weightTypes() {
		s := newScene()
		layer(s, m, n, k, typ)
		all = append(all, s)
	}
	return all
}

// widened are products of more rows with every type of weight, and sides that are
// rounded, or laid out anew, before.
func widened() []*scene {
	s := newScene()
	x := s.act(20, 256)
	for _, typ := range weightTypes() {
		s.call("linear", nil, list(s.out(device.BF16, 20, 24, 2)), list(x, s.frozen(typ, 24, 256)))
	}
	product(s, 40, 72, 33, device.F32)
	adapter(s, 20, 40, 64, device.BF16)
	layer(s, 20, 24, 4200, device.BF16) // nine parts of x A'
	return []*scene{s}
}

// adapterGradients are du and dB of an adapter that is large enough to have them from
// one reading of dy.
func adapterGradients() []*scene {
	const m, n, inputs = 520, 520, 4
	s := newScene()
	s.adding("lora_du", device.LoRA{Scale: 0.5}, list(s.out(device.F32, n, rank, inputs), s.out(device.BF16, m, rank, inputs)),
		list(s.act(m, n), s.wide(n, rank), s.act(m, rank)))
	return []*scene{s}
}

// heads are log-probabilities over two chunks of ids with a gradient by slopes, and
// computed again.
func heads() []*scene {
	const n, v, c, inputs = 5, 4104, 16, 16
	s := newScene()
	h, w, targets := s.normal(device.BF16, n, c, 0.5), s.frozen(device.BF16, v, c), s.ints(0, -1, 4103, 4096, 7)
	attr := device.LogProb{Temperature: 0.7}
	vector := func() *tensor { return s.out(device.F32, n, 1, 2) }
	lse := vector()
	s.call("logprob", attr, list(vector(), lse, vector(), vector()), list(h, w, targets))
	dlp := s.wide(n, 1)
	s.call("logprob_dx", attr, list(s.out(device.BF16, n, c, inputs)), list(h, w, targets, lse, dlp))
	s.call("logprob_dw", attr, list(s.out(device.F32, v, c, inputs)), list(h, w, targets, lse, dlp))
	slope := s.out(device.F32, n, c, inputs)
	s.call("logprob", attr, list(vector(), vector(), vector(), vector(), slope), list(h, w, targets))
	s.call("scale_rows", nil, list(s.out(device.BF16, n, c, inputs)), list(slope, dlp))
	return []*scene{s}
}
