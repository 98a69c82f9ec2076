package graph

import "align/internal/device"

// Embed is y[T,C] = W[ids]: the rows of the embedding W[V,C].
func (b *Builder) Embed(w, ids *Node) *Node {
	if !b.require("embed", w, ids) {
		return nil
	}
	b.Points(ids, 0, b.Info(w).Rows)
	out := Matrix(b.activations, b.Info(ids).Rows, b.Info(w).Cols)
	op := &Op{Kernel: "embed", Outs: []Info{out}, Diff: []bool{true, false}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		dw := &Op{Kernel: "embed_dw", Outs: []Info{untrained(b.Info(in[0]))}, Accumulates: true}
		return Nodes{b.Apply(dw, dy, in[1]), nil}
	}
	return b.Apply(op, w, ids)
}

// RMSNorm is x*rsqrt(mean(x^2)+eps)*w over groups of len(w) columns
// (https://arxiv.org/abs/1910.07467, equation 4, without the mean).
func (b *Builder) RMSNorm(x, w *Node, eps float64) *Node {
	if !b.require("rmsnorm", x, w) {
		return nil
	}
	width := b.Info(w).Rows.Max
	if width == 0 || b.Info(x).Cols%width != 0 {
		return b.fail("rmsnorm: x is %v, weight is %v: want a multiple of the weight's width", b.Info(x), b.Info(w))
	}
	attr := device.Norm{Eps: eps, Width: width}
	op := &Op{Kernel: "rmsnorm", Attr: attr, Outs: []Info{untrained(b.Info(x))}, Diff: []bool{true, true}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		grads := Nodes{nil, nil}
		if op.Diff[0] {
			dx := &Op{Kernel: "rmsnorm_dx", Attr: attr, Outs: []Info{untrained(b.Info(in[0]))}}
			grads[0] = b.Apply(dx, in[0], in[1], dy)
		}
		if op.Diff[1] {
			dw := &Op{Kernel: "rmsnorm_dw", Attr: attr, Outs: []Info{untrained(b.Info(in[1]))}, Accumulates: true}
			grads[1] = b.Apply(dw, in[0], dy)
		}
		return grads
	}
	return b.Apply(op, x, w)
}

// RopeTable is the cosines and sines [T,D] of the positions [T]; the angle of
// pair i is position*invFreq[i] (https://arxiv.org/abs/2104.09864, equation 15).
func (b *Builder) RopeTable(position *Node, invFreq []float64) *Node {
	if !b.require("rope_table", position) {
		return nil
	}
	out := Matrix(b.wide(), b.Info(position).Rows, 2*len(invFreq))
	return b.Apply(&Op{Kernel: "rope_table", Attr: device.RopeTable{InvFreq: invFreq}, Outs: []Info{out}}, position)
}

// Rope turns each head of x[T,H*D] by the table[T,D], in Hugging Face's pairing
// (i, i+D/2). Its gradient turns back.
func (b *Builder) Rope(x, table *Node) *Node {
	if !b.require("rope", x, table) {
		return nil
	}
	d := b.Info(table).Cols
	op := b.ropeOp(b.Info(x), device.Rope{HeadDim: d})
	op.Diff = []bool{true, false}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		return Nodes{b.Apply(b.ropeOp(b.Info(in[0]), device.Rope{HeadDim: d, Inverse: true}), dy, in[1]), nil}
	}
	return b.Apply(op, x, table)
}

func (b *Builder) ropeOp(x Info, attr device.Rope) *Op {
	return &Op{Kernel: "rope", Attr: attr, Outs: []Info{untrained(x)}, InPlace: []int{0}}
}

// Mask is what a query row may attend to: keys in [PrefixStart, PrefixEnd) and
// in [SegmentStart, its own row], each int32 [T].
type Mask struct{ PrefixStart, PrefixEnd, SegmentStart *Node }

// Attention is softmax(q k' scale + mask) v with grouped key/value heads:
// q[T,H*D], k[T,K*D], v[T,K*D] -> [T,H*D].
func (b *Builder) Attention(q, k, v *Node, m Mask, attr device.Attention) *Node {
	if !b.require("attention", q, k, v, m.PrefixStart, m.PrefixEnd, m.SegmentStart) {
		return nil
	}
	rows := b.Info(q).Rows
	ofQ, ofKV := Matrix(b.activations, rows, attr.Heads*attr.HeadDim), Matrix(b.activations, rows, attr.KVHeads*attr.HeadDim)
	outs := []Info{ofQ, Matrix(b.wide(), rows, attr.Heads)}
	op := &Op{Kernel: "attention", Attr: attr, Outs: outs, Diff: []bool{true, true, true}}
	op.Pull = func(in Nodes, out, do *Node) Nodes {
		grad := &Op{Kernel: "attention_grad", Attr: attr, Outs: []Info{ofQ, ofKV, ofKV}}
		t := b.Apply(grad, in[0], in[1], in[2], b.Part(out, 0), b.Part(out, 1), do, in[3], in[4], in[5])
		return b.wanted(t, op.Diff)
	}
	return b.Part(b.Apply(op, q, k, v, m.PrefixStart, m.PrefixEnd, m.SegmentStart), 0)
}

// wanted are the parts of a tuple of gradients whose inputs want one.
func (b *Builder) wanted(tuple *Node, diff []bool) Nodes {
	grads := make(Nodes, len(diff))
	if b.err != nil {
		return grads
	}
	for i, want := range diff {
		if want {
			grads[i] = b.Part(tuple, i)
		}
	}
	return grads
}

// SwiGLU is silu(g)*u, both [T,F] (https://arxiv.org/abs/2002.05202, equation 6).
func (b *Builder) SwiGLU(g, u *Node) *Node {
	if !b.require("swiglu", g, u) {
		return nil
	}
	info := untrained(b.Info(g))
	op := &Op{Kernel: "swiglu", Outs: []Info{info}, Diff: []bool{true, true}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		grad := &Op{Kernel: "swiglu_grad", Outs: []Info{info, info, info}, InPlace: []int{0, 1, -1}}
		return b.wanted(b.Apply(grad, in[0], in[1], dy), op.Diff)
	}
	return b.Apply(op, g, u)
}

// Residual is a + b, both [T,C].
func (b *Builder) Residual(x, y *Node) *Node {
	if !b.require("add", x, y) {
		return nil
	}
	op := &Op{Kernel: "add", Outs: []Info{untrained(b.Info(x))}, Diff: []bool{true, true}, InPlace: []int{1}}
	op.Pull = func(_ Nodes, _, dy *Node) Nodes { return Nodes{dy, dy} }
	return b.Apply(op, x, y)
}
