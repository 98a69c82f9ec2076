package graph

import "align/internal/device"

// DoRA is what weight-decomposed adaptation adds to a LoRA: the magnitudes M[N]
// and the frozen weight's squared row lengths, Squares[N] in float64.
type DoRA struct{ M, Squares *Node }

// DoRALinear is the layer of https://arxiv.org/abs/2402.09353, equation 5, with
// the direction's length taken as a constant in the gradient (section 4.3):
//
//	y = m/n (x W' + scale x A' B') (+ bias),  n = length of the rows of W + scale B A
//
// Under dropout it is PEFT's form, which drops the base's part of the correction
// too (peft, tuners/lora/dora.py):
//
//	y = x W' + scale d A' B' (+ bias) + (m/n - 1) (d W' + scale d A' B'),  d = drop(x)
//
// With m = n, as at the start, both are LoRALinear.
func (b *Builder) DoRALinear(x, w, bias *Node, l LoRA, d DoRA) *Node {
	if !b.matches("dora_linear", x, w) || !b.matches("dora_linear", x, l.A) || !b.require("dora_linear", l.B, d.M, d.Squares) {
		return nil
	}
	n := b.doraNorm(w, l, d)
	undropped := LoRA{A: l.A, B: l.B, Scale: l.Scale}
	if l.DropoutP == 0 {
		return b.DoRAScale(b.LoRALinear(x, w, nil, undropped), d.M, n, bias, 0)
	}
	dropped := b.Dropout(x, l.Key, l.Seed, device.Dropout{P: l.DropoutP, Stream: l.Stream})
	correction := b.DoRAScale(b.LoRALinear(dropped, w, nil, undropped), d.M, n, nil, 1)
	return b.Residual(b.loraDropped(x, dropped, w, bias, l), correction)
}

// doraNorm is n[N]. Nothing in it is differentiated. The lengths come from
//
//	|w + scale b A|^2 = |w|^2 + 2 scale b (A w) + scale^2 b (A A') b'
//
// so that W is read by one product of R rows and no copy of it is made.
func (b *Builder) doraNorm(w *Node, l LoRA, d DoRA) *Node {
	rank, rows := b.Info(l.A).Rows, b.Info(w).Rows
	products := b.Apply(&Op{Kernel: "linear", Outs: []Info{Matrix(b.wide(), rank, rows.Max)}}, l.A, w)
	squares := b.MatMulNT(l.A, l.A, 1)
	return b.Apply(&Op{Kernel: "dora_norm", Attr: device.LoRA{Scale: l.Scale}, Outs: []Info{Vector(b.wide(), rows)}},
		d.Squares, l.B, products, squares)
}

// DoRAScale is y[T,N] = z (m/n - shift) (+ bias[N], or nil). n and the bias get
// no gradient: dz = dy (m/n - shift), dm = sum over t of dy z / n.
func (b *Builder) DoRAScale(z, m, n, bias *Node, shift float64) *Node {
	if !b.require("dora_scale", z, m, n) {
		return nil
	}
	attr := device.DoRA{Shift: shift}
	op := &Op{Kernel: "dora_scale", Attr: attr, Outs: []Info{untrained(b.Info(z))}, Diff: []bool{true, true, false, false}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		grads := Nodes{nil, nil, nil, nil}[:len(in)]
		if op.Diff[0] {
			grads[0] = b.Apply(&Op{Kernel: "dora_scale", Attr: attr, Outs: []Info{untrained(b.Info(in[0]))}}, dy, in[1], in[2])
		}
		if op.Diff[1] {
			dm := &Op{Kernel: "dora_dm", Outs: []Info{untrained(b.Info(in[1]))}, Accumulates: true}
			grads[1] = b.Apply(dm, in[0], in[2], dy)
		}
		return grads
	}
	return b.Apply(op, withBias(bias, z, m, n)...)
}
