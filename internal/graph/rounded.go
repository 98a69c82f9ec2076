package graph

import (
	"slices"

	"align/internal/device"
)

// sides are the inputs of kernels that are a side of a product and nothing else.
var sides = map[string][]int{
	"linear": {0}, "lora_linear": {0, 1}, "matmul_nt": {0}, "matmul_tn": {1}, "attention": {0, 1, 2}, "attention_grad": {0, 1, 2, 3},
}

// rounders are the kernels that write what products round as rounded, in their
// first output.
var rounders = []string{"rmsnorm", "swiglu", "dropout", "rope", "attention"}

// sideCols is what the width of a rounded value is a multiple of.
const sideCols = 32

// HoldRounded gives computed values that products alone read, as a side, the
// type that the device's products round them to (Options.Rounded): no number
// changes, and they take less memory. keep is read from outside. It is called
// when the graph is complete.
func (b *Builder) HoldRounded(keep *Node) {
	if b.err != nil || !b.rounds() {
		return
	}
	others := map[*Node]bool{keep: true}
	for _, n := range b.graph.AllNodes() {
		for i, child := range b.Children(n) {
			if !isSide(n, i) {
				others[child] = true
			}
		}
	}
	for _, n := range b.graph.AllNodes() {
		if op := firstOf(n); op != nil && !others[n] && slices.Contains(rounders, op.Kernel) && op.wholeHeads() && b.Info(n).Cols%sideCols == 0 {
			op.Outs[0].Type = b.rounded
			b.info[n] = op.Outs[0]
		}
	}
}

// firstOf is the op whose first or only output the node is, or nil.
func firstOf(n *Node) *Op {
	switch op := n.Op().(type) {
	case *Part:
		if op.Index == 0 {
			return op.source
		}
	case *Op:
		if len(op.Outs) == 1 {
			return op
		}
	}
	return nil
}

// wholeHeads says whether heads, if the op has any, may be held rounded.
func (op *Op) wholeHeads() bool {
	attr, is := op.Attr.(device.Attention)
	return !is || attr.HeadDim%sideCols == 0
}

// rounds says whether values may be held in another type than the activations'.
func (b *Builder) rounds() bool { return b.rounded != 0 && b.rounded != b.activations }

// round is x[T,C] in the type that the device's products round it to, for readers
// of a value whose kernel does not write it so.
func (b *Builder) round(x *Node) *Node {
	out := untrained(b.Info(x))
	out.Type = b.rounded
	op := &Op{Kernel: "round", Outs: []Info{out}, Diff: []bool{true}}
	op.Pull = func(_ Nodes, _, dy *Node) Nodes { return Nodes{dy} }
	return b.Apply(op, x)
}

// isSide says whether a node reads its child as the side of a product alone.
func isSide(n *Node, child int) bool {
	op, is := n.Op().(*Op)
	if !is {
		return false
	}
	if !op.wholeHeads() {
		return false
	}
	for i, c := range op.kernelInputs() {
		if c == child && !slices.Contains(sides[op.Kernel], i) {
			return false
		}
	}
	return true
}
