package graph

import "align/internal/device"

// Gather is y[N,C] = x[rows]: the positions that predict something.
func (b *Builder) Gather(x, rows *Node) *Node {
	if !b.require("gather", x, rows) {
		return nil
	}
	b.Points(rows, 0, b.Info(x).Rows)
	out := Matrix(b.activations, b.Info(rows).Rows, b.Info(x).Cols)
	op := &Op{Kernel: "gather", Outs: []Info{out}, Diff: []bool{true, false}}
	op.Pull = func(in Nodes, _, dy *Node) Nodes {
		scatter := &Op{Kernel: "scatter", Outs: []Info{untrained(b.Info(in[0]))}}
		return Nodes{b.Apply(scatter, dy, in[1], in[0]), nil}
	}
	return b.Apply(op, x, rows)
}

// Prediction is what the head says of each target: the log-probability of the
// target, and, for metrics only, the entropy of the distribution in nats and
// whether the target is its mode (1 or 0). All [N].
type Prediction struct{ LogProb, Entropy, Hit *Node }

// slopePart is the output of logprob that is d lp/d h.
const slopePart = 4

// LogProb is log softmax(h W' / temperature) at the targets [N], for h[N,C] and
// W[V,C], over chunks of the vocabulary: no [N,V] is ever held.
func (b *Builder) LogProb(h, w, targets *Node, temperature float64) Prediction {
	if !b.matches("logprob", h, w) || !b.require("logprob", targets) {
		return Prediction{}
	}
	b.Points(targets, anyBelow, b.Info(w).Rows)
	attr := device.LogProb{Temperature: temperature}
	n := Vector(b.wide(), b.Info(targets).Rows)
	op := &Op{Kernel: "logprob", Attr: attr, Outs: []Info{n, n, n, n}, Diff: []bool{true, true, false}}
	op.Pull = func(in Nodes, out, dlp *Node) Nodes {
		grads, lse := Nodes{nil, nil, nil}, b.Part(out, 1)
		switch {
		case op.Diff[0] && b.slopes:
			dh := &Op{Kernel: "scale_rows", Outs: []Info{untrained(b.Info(in[0]))}}
			if dh.Outs[0].Type == b.wide() {
				dh.InPlace = []int{0}
			}
			grads[0] = b.Apply(dh, b.Part(out, slopePart), dlp)
		case op.Diff[0]:
			dx := &Op{Kernel: "logprob_dx", Attr: attr, Outs: []Info{untrained(b.Info(in[0]))}}
			grads[0] = b.Apply(dx, in[0], in[1], in[2], lse, dlp)
		}
		if op.Diff[1] {
			dw := &Op{Kernel: "logprob_dw", Attr: attr, Outs: []Info{untrained(b.Info(in[1]))}, Accumulates: true}
			grads[1] = b.Apply(dw, in[0], in[1], in[2], lse, dlp)
		}
		return grads
	}
	if b.slopes {
		slope := untrained(b.Info(h))
		slope.Type = b.wide() // it is multiplied once more
		op.Outs = append(op.Outs, slope)
	}
	t := b.Apply(op, h, w, targets)
	return Prediction{LogProb: b.Part(t, 0), Entropy: b.Part(t, 2), Hit: b.Part(t, 3)}
}

// SegmentSum is the sum of x[N] over each sequence, in float64 and in the order
// of the targets: log pi(y|x) from the log-probabilities of y's tokens.
func (b *Builder) SegmentSum(x, sequence *Node, sequences Dim) *Node {
	if !b.require("segment_sum", x, sequence) {
		return nil
	}
	b.Points(sequence, 0, sequences)
	op := &Op{Kernel: "segment_sum", Outs: []Info{Vector(device.F64, sequences)}, Diff: []bool{true, false}}
	op.Pull = func(in Nodes, _, ds *Node) Nodes {
		dx := &Op{Kernel: "segment_sum_grad", Outs: []Info{untrained(b.Info(in[0]))}}
		return Nodes{b.Apply(dx, ds, in[1]), nil}
	}
	return b.Apply(op, x, sequence)
}
