package graph

import (
	"fmt"

	"align/internal/device"
)

// Linear is y[T,N] = x[T,C] W[N,C]' (+ bias[N], or nil). The weight gets a
// gradient where its input is Trained (full-parameter training).
func (b *Builder) Linear(x, w, bias *Node) *Node {
	if !b.matches("linear", x, w) {
		return nil
	}
	return b.linear(x, w, bias, b.Info(x).Type)
}

// Wide is Linear without bias into the type of statistics: what is read as
// numbers, as logits and scores are.
func (b *Builder) Wide(x, w *Node) *Node {
	if !b.matches("linear", x, w) {
		return nil
	}
	return b.linear(x, w, nil, b.wide())
}

func (b *Builder) linear(x, w, bias *Node, t device.Type) *Node {
	out := Matrix(t, b.Info(x).Rows, b.Info(w).Rows.Max)
	op := &Op{Kernel: "linear", Outs: []Info{out}, Diff: []bool{true, true, true}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		grads := Nodes{nil, nil, nil}[:len(in)]
		if op.Diff[0] {
			grads[0] = b.linearDX(dy, in[1], b.Info(in[0]))
		}
		if op.Diff[1] {
			grads[1] = b.MatMulTN(dy, in[0], 1)
		}
		if len(in) == 3 && op.Diff[2] {
			grads[2] = b.Apply(&Op{Kernel: "bias_grad", Outs: []Info{Vector(b.wide(), b.Info(in[2]).Rows)}, Accumulates: true}, dy)
		}
		return grads
	}
	return b.Apply(op, withBias(bias, x, w)...)
}

// linearDX is dx[T,C] = dy[T,N] W[N,C].
func (b *Builder) linearDX(dy, w *Node, x Info) *Node {
	return b.Apply(&Op{Kernel: "linear_dx", Accumulates: true, Outs: []Info{Matrix(b.activations, x.Rows, x.Cols)}}, dy, w)
}

func withBias(bias *Node, in ...*Node) []*Node {
	if bias == nil {
		return in
	}
	return append(in, bias)
}

// matches checks that x[T,C] and w[N,C] share C.
func (b *Builder) matches(op string, x, w *Node) bool {
	if b.err != nil {
		return false
	}
	if x == nil || w == nil {
		b.fail("%s: an input is missing", op)
		return false
	}
	if b.Info(x).Cols != b.Info(w).Cols {
		b.fail("%s: x is %v, weight is %v: want equal columns", op, b.Info(x), b.Info(w))
		return false
	}
	return true
}

// LoRA holds the adapter of one linear layer in a graph: A[R,C], B[N,R] and
// the scale alpha/R. DropoutP > 0 drops elements of the adapter's input, drawn
// from Key[T] and Seed[2] under the layer's own Stream.
type LoRA struct {
	A, B      *Node
	Scale     float64
	DropoutP  float64
	Key, Seed *Node
	Stream    uint32
}

// LoRALinear is y = x W' + scale (drop(x) A') B' (+ bias): the low-rank update
// of https://arxiv.org/abs/2106.09685, equation 3, as one op, whose second output
// is u = scale drop(x) A'. Its gradient is du = scale dy B beside dB = dy'u,
// dA = du' drop(x), dx = dy W + du A.
func (b *Builder) LoRALinear(x, w, bias *Node, l LoRA) *Node {
	if !b.matches("lora_linear", x, w) || !b.matches("lora_linear", x, l.A) {
		return nil
	}
	if l.DropoutP > 0 {
		return b.loraDrops(x, w, bias, l)
	}
	args := []int{0, 0, 1, 2, 3}
	if bias != nil {
		args = append(args, 4)
	}
	op := b.loraOp(x, w, l, args)
	op.Diff = []bool{true, false, true, true, false}
	op.Pull = func(in Nodes, out, dy *Node) Nodes {
		grads := Nodes{nil, nil, nil, nil, nil}[:len(in)]
		dB, du := b.loraDU(dy, in[3], out, l)
		grads[2], grads[3] = b.MatMulTN(du, in[0], 1), dB
		if op.Diff[0] {
			grads[0] = b.loraDX(dy, in[1], du, in[2], b.Info(in[0]))
		}
		return grads
	}
	return b.Part(b.Apply(op, withBias(bias, x, w, l.A, l.B)...), 0)
}

// loraDrops is LoRALinear with dropout, whose mask takes the place of a dropped copy of
// x: a bit an element. Kernels read x and A's product under it, and the scale of what is
// kept is a factor of theirs.
func (b *Builder) loraDrops(x, w, bias *Node, l LoRA) *Node {
	attr := device.Dropout{P: l.DropoutP, Stream: l.Stream}
	mask := b.DropoutMask(x, l.Key, l.Seed, attr)
	if b.err != nil {
		return nil
	}
	scaled := l
	scaled.Scale *= attr.Scale()
	op := b.loraOp(x, w, scaled, nil)
	op.Diff = []bool{true, false, false, true, true, false}
	op.Pull = func(in Nodes, out, dy *Node) Nodes {
		grads := make(Nodes, len(in))
		dB, du := b.loraDU(dy, in[4], out, l)
		grads[3], grads[4] = b.product("matmul_tn", attr.Scale(), Matrix(b.wide(), b.Info(in[3]).Rows, b.Info(in[3]).Cols), du, in[0], in[1]), dB
		if op.Diff[0] {
			dx := &Op{Kernel: "lora_dropped_dx", Attr: attr, Accumulates: true, Outs: []Info{Matrix(b.activations, b.Info(in[0]).Rows, b.Info(in[0]).Cols)}}
			grads[0] = b.Apply(dx, dy, in[2], du, in[3], in[1])
		}
		return grads
	}
	return b.Part(b.Apply(op, withBias(bias, x, mask, w, l.A, l.B)...), 0)
}

// loraDropped is LoRALinear where the adapter's input is xd and not x itself.
func (b *Builder) loraDropped(x, xd, w, bias *Node, l LoRA) *Node {
	if b.err != nil {
		return nil
	}
	op := b.loraOp(x, w, l, nil)
	op.Diff = []bool{true, true, false, true, true, false}
	op.Pull = func(in Nodes, out, dy *Node) Nodes {
		grads := Nodes{nil, nil, nil, nil, nil, nil}[:len(in)]
		dB, du := b.loraDU(dy, in[4], out, l)
		grads[3], grads[4] = b.MatMulTN(du, in[1], 1), dB
		if op.Diff[0] {
			grads[0] = b.linearDX(dy, in[2], b.Info(in[0]))
		}
		if op.Diff[1] {
			grads[1] = b.MatMulNN(du, in[3], 1)
		}
		return grads
	}
	return b.Part(b.Apply(op, withBias(bias, x, xd, w, l.A, l.B)...), 0)
}

func (b *Builder) loraOp(x, w *Node, l LoRA, args []int) *Op {
	rows := b.Info(x).Rows
	outs := []Info{Matrix(b.activations, rows, b.Info(w).Rows.Max), Matrix(b.activations, rows, b.Info(l.A).Rows.Max)}
	return &Op{Kernel: "lora_linear", Attr: device.LoRA{Scale: l.Scale}, Outs: outs, Args: args}
}

func (b *Builder) loraDX(dy, w, du, a *Node, x Info) *Node {
	return b.Apply(&Op{Kernel: "lora_dx", Accumulates: true, Outs: []Info{Matrix(b.activations, x.Rows, x.Cols)}}, dy, w, du, a)
}

// loraDU is the gradient of B, and du; out is the layer's outputs, whose u is computed
// again by itself where a save policy does not keep it.
func (b *Builder) loraDU(dy, up, out *Node, l LoRA) (dB, du *Node) {
	if b.err != nil {
		return nil, nil
	}
	rank := b.Info(up).Cols
	outs := []Info{Matrix(b.wide(), b.Info(up).Rows, rank), Matrix(b.activations, b.Info(dy).Rows, rank)}
	tuple := b.Apply(&Op{Kernel: "lora_du", Attr: device.LoRA{Scale: l.Scale}, Outs: outs, Accumulates: true}, dy, up, b.Part(out, 1))
	return b.Part(tuple, 0), b.Part(tuple, 1)
}

// MatMulNT is y[M,N] = alpha x[M,K] w[N,K]'.
func (b *Builder) MatMulNT(x, w *Node, alpha float64) *Node {
	return b.product("matmul_nt", alpha, Matrix(b.Info(x).Type, b.Info(x).Rows, b.Info(w).Rows.Max), x, w)
}

// MatMulNN is y[M,N] = alpha x[M,K] w[K,N].
func (b *Builder) MatMulNN(x, w *Node, alpha float64) *Node {
	return b.product("matmul_nn", alpha, Matrix(b.Info(x).Type, b.Info(x).Rows, b.Info(w).Cols), x, w)
}

// MatMulTN is y[M,N] = alpha x[K,M]' w[K,N]: the gradient of a weight.
func (b *Builder) MatMulTN(x, w *Node, alpha float64) *Node {
	return b.product("matmul_tn", alpha, Matrix(b.wide(), Size(max(b.Info(x).Cols, 1)), b.Info(w).Cols), x, w)
}

// product has no pullback for its own gradients: it stands in backward passes
// only, and the products of the forward pass are Linear and LoRALinear.
func (b *Builder) product(kernel string, alpha float64, out Info, in ...*Node) *Node {
	if b.err != nil {
		return nil
	}
	return b.Apply(&Op{
		Kernel: kernel, Attr: device.MatMul{Alpha: alpha}, Accumulates: true,
		Outs: []Info{out},
	}, in...)
}

// maskWord is the elements of a word of a mask.
const maskWord = 32

// DropoutMask is what Dropout keeps of x[T,C]: a bit for each element, 32 to a word.
func (b *Builder) DropoutMask(x, key, seed *Node, attr device.Dropout) *Node {
	if b.err != nil {
		return nil
	}
	if err := attr.Check(); err != nil {
		return b.fail("dropout: %v", err)
	}
	out := Matrix(device.I32, b.Info(x).Rows, (b.Info(x).Cols+maskWord-1)/maskWord)
	return b.Apply(&Op{Kernel: "dropout_mask", Attr: attr, Outs: []Info{out}}, key, seed)
}

// Dropout zeroes elements of x[T,C] with probability P and scales the rest by
// attr.Scale. The draw depends on the row's key, not on its place in a pack. Its
// gradient is the same mask.
func (b *Builder) Dropout(x, key, seed *Node, attr device.Dropout) *Node {
	if err := attr.Check(); err != nil {
		return b.fail("dropout: %v", err)
	}
	op := &Op{Kernel: "dropout", Attr: attr, Outs: []Info{untrained(b.Info(x))}, Diff: []bool{true}, InPlace: []int{0}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		dx := &Op{Kernel: "dropout", Attr: attr, Outs: []Info{untrained(b.Info(in[0]))}, InPlace: []int{0}}
		return Nodes{b.Apply(dx, dy, in[1], in[2]), nil, nil}
	}
	return b.Apply(op, x, key, seed)
}

// untrained is the info of a computed value shaped like an input.
func untrained(i Info) Info {
	i.Trained = false
	return i
}

// require guards a graph-building call against a missing node.
func (b *Builder) require(op string, nodes ...*Node) bool {
	if b.err != nil {
		return false
	}
	for i, n := range nodes {
		if n == nil {
			b.err = fmt.Errorf("graph: %s: input %d is missing", op, i)
			return false
		}
	}
	return true
}
