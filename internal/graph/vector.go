package graph

import "align/internal/device"

// The formulae of losses, on float64 vectors. Each method is one op; operands
// of binary ops have equal length, or the second has one element.

// Pick is y[P] = x[index]: the chosen or rejected sequences of pairs, say.
func (b *Builder) Pick(x, index *Node) *Node {
	if !b.require("vec_gather", x, index) {
		return nil
	}
	b.Points(index, 0, b.Info(x).Rows)
	op := &Op{Kernel: "vec_gather", Outs: []Info{Vector(device.F64, b.Info(index).Rows)}, Diff: []bool{true, false}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		scatter := &Op{Kernel: "vec_scatter", Outs: []Info{untrained(b.Info(in[0]))}}
		return Nodes{b.Apply(scatter, dy, in[1], in[0]), nil}
	}
	return b.Apply(op, x, index)
}

// Sum is the sum of x as a vector of one element.
func (b *Builder) Sum(x *Node) *Node {
	if !b.require("vec_sum", x) {
		return nil
	}
	op := &Op{Kernel: "vec_sum", Outs: []Info{Vector(device.F64, Size(1))}, Diff: []bool{true}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		fill := &Op{Kernel: "vec_fill", Outs: []Info{untrained(b.Info(in[0]))}, Diff: []bool{true}}
		return Nodes{b.Apply(fill, dy, in[0])}
	}
	return b.Apply(op, x)
}

// Dot is the sum of x*y as a vector of one element: a weighted sum.
func (b *Builder) Dot(x, y *Node) *Node { return b.Sum(b.Mul(x, y)) }

// Convert is x in float64 (or, from float64, in the type of statistics).
func (b *Builder) Convert(x *Node) *Node {
	if !b.require("vec_convert", x) {
		return nil
	}
	out := untrained(b.Info(x))
	if out.Type == device.F64 {
		out.Type = b.wide()
	} else {
		out.Type = device.F64
	}
	op := &Op{Kernel: "vec_convert", Outs: []Info{out}, Diff: []bool{true}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		return Nodes{b.Apply(&Op{Kernel: "vec_convert", Outs: []Info{untrained(b.Info(in[0]))}}, dy)}
	}
	return b.Apply(op, x)
}

// unary applies y = f(x); derivative gives f'(x) from x and y, or nil where f
// is constant between its steps.
func (b *Builder) unary(attr device.Vec, x *Node, derivative func(x, y *Node) *Node) *Node {
	if !b.require("vec_unary "+attr.Op, x) {
		return nil
	}
	op := &Op{Kernel: "vec_unary", Attr: attr, Outs: []Info{untrained(b.Info(x))}}
	if derivative != nil {
		op.Diff = []bool{true}
		op.Pull = func(in Nodes, out, dy *Node) Nodes { return Nodes{b.Mul(dy, derivative(in[0], out))} }
	}
	return b.Apply(op, x)
}

// Neg is -x.
func (b *Builder) Neg(x *Node) *Node { return b.Scale(x, -1) }

// Scale is c*x.
func (b *Builder) Scale(x *Node, c float64) *Node {
	if !b.require("vec_unary scale", x) {
		return nil
	}
	attr := device.Vec{Op: "scale", Const: c}
	op := &Op{Kernel: "vec_unary", Attr: attr, Outs: []Info{untrained(b.Info(x))}, Diff: []bool{true}}
	op.Pull = func(_ Nodes, _, dy *Node) Nodes { return Nodes{b.Scale(dy, c)} }
	return b.Apply(op, x)
}

// Shift is x + c.
func (b *Builder) Shift(x *Node, c float64) *Node {
	if !b.require("vec_unary shift", x) {
		return nil
	}
	attr := device.Vec{Op: "shift", Const: c}
	op := &Op{Kernel: "vec_unary", Attr: attr, Outs: []Info{untrained(b.Info(x))}, Diff: []bool{true}}
	op.Pull = func(_ Nodes, _, dy *Node) Nodes { return Nodes{dy} }
	return b.Apply(op, x)
}

// Square is x^2.
func (b *Builder) Square(x *Node) *Node {
	return b.unary(device.Vec{Op: "square"}, x, func(x, _ *Node) *Node { return b.Scale(x, 2) })
}

// Exp is e^x.
func (b *Builder) Exp(x *Node) *Node {
	return b.unary(device.Vec{Op: "exp"}, x, func(_, y *Node) *Node { return y })
}

// Log is the natural logarithm.
func (b *Builder) Log(x *Node) *Node {
	return b.unary(device.Vec{Op: "log"}, x, func(x, _ *Node) *Node {
		return b.unary(device.Vec{Op: "reciprocal"}, x, nil)
	})
}

// Softplus is log(1+e^x) without overflow; -log sigmoid(x) = Softplus(-x).
func (b *Builder) Softplus(x *Node) *Node {
	return b.unary(device.Vec{Op: "softplus"}, x, func(x, _ *Node) *Node {
		return b.unary(device.Vec{Op: "sigmoid"}, x, nil)
	})
}

// Sigmoid is 1/(1+e^-x).
func (b *Builder) Sigmoid(x *Node) *Node {
	return b.unary(device.Vec{Op: "sigmoid"}, x, func(_, y *Node) *Node {
		return b.Mul(y, b.Shift(b.Neg(y), 1))
	})
}

// Tanh is the hyperbolic tangent.
func (b *Builder) Tanh(x *Node) *Node {
	return b.unary(device.Vec{Op: "tanh"}, x, func(_, y *Node) *Node {
		return b.Shift(b.Neg(b.Square(y)), 1)
	})
}

// Relu is max(0, x), with gradient 0 at 0.
func (b *Builder) Relu(x *Node) *Node {
	return b.unary(device.Vec{Op: "relu"}, x, func(x, _ *Node) *Node {
		return b.unary(device.Vec{Op: "step"}, x, nil)
	})
}

// Clamp is x held to [lo, hi], with gradient 0 outside.
func (b *Builder) Clamp(x *Node, lo, hi float64) *Node {
	return b.unary(device.Vec{Op: "clamp", Lo: lo, Hi: hi}, x, func(x, _ *Node) *Node {
		return b.unary(device.Vec{Op: "inside", Lo: lo, Hi: hi}, x, nil)
	})
}

// binary applies y = f(a, c) with the gradients that pull gives.
func (b *Builder) binary(name string, a, c *Node, pull Pullback) *Node {
	if !b.require("vec_binary "+name, a, c) {
		return nil
	}
	op := &Op{Kernel: "vec_binary", Attr: device.Vec{Op: name}, Outs: []Info{untrained(b.Info(a))}}
	if pull != nil {
		op.Diff = []bool{true, true}
		op.Pull = func(in Nodes, out, dy *Node) Nodes {
			grads := pull(in, out, dy)
			if op.Diff[1] {
				grads[1] = b.reduceTo(in[1], grads[1])
			}
			return grads
		}
	}
	return b.Apply(op, a, c)
}

// reduceTo sums the gradient of an operand of one element that served all.
func (b *Builder) reduceTo(operand, grad *Node) *Node {
	if b.Info(operand).Rows == b.Info(grad).Rows {
		return grad
	}
	return b.Sum(grad)
}

// Add is a + c.
func (b *Builder) Add(a, c *Node) *Node {
	return b.binary("add", a, c, func(_ Nodes, _, dy *Node) Nodes { return Nodes{dy, dy} })
}

// Sub is a - c.
func (b *Builder) Sub(a, c *Node) *Node {
	return b.binary("sub", a, c, func(_ Nodes, _, dy *Node) Nodes { return Nodes{dy, b.Neg(dy)} })
}

// Mul is a * c.
func (b *Builder) Mul(a, c *Node) *Node {
	return b.binary("mul", a, c, func(in Nodes, _, dy *Node) Nodes {
		return Nodes{b.Mul(dy, in[1]), b.Mul(dy, in[0])}
	})
}

// Div is a / c.
func (b *Builder) Div(a, c *Node) *Node {
	return b.binary("div", a, c, func(in Nodes, out, dy *Node) Nodes {
		da := b.Div(dy, in[1])
		return Nodes{da, b.Neg(b.Mul(da, out))}
	})
}

// Max is the larger of a and c; the gradient goes to a only where a > c.
func (b *Builder) Max(a, c *Node) *Node {
	return b.binary("max", a, c, func(in Nodes, _, dy *Node) Nodes {
		first := b.binary("greater", in[0], in[1], nil)
		return Nodes{b.Mul(dy, first), b.Mul(dy, b.Shift(b.Neg(first), 1))}
	})
}

// Min is the smaller of a and c; the gradient goes to c only where a > c.
func (b *Builder) Min(a, c *Node) *Node { return b.Neg(b.Max(b.Neg(a), b.Neg(c))) }

// Constant detaches x: its value without a gradient.
func (b *Builder) Constant(x *Node) *Node { return b.unary(device.Vec{Op: "shift"}, x, nil) }
