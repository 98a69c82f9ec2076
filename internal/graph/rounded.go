package graph

import (
	"slices"

	"align/internal/device"
)

// sides are the inputs of kernels that are a side of a product and nothing else. What
// SwiGLU reads as numbers is held as those are too, as bf16 training elsewhere does: it
// is the widest of a layer.
var sides = map[string][]int{
	"linear": {0}, "linear_dx": {0}, "lora_linear": {0, 1}, "lora_du": {0}, "lora_dx": {0}, "lora_dropped_dx": {0},
	"matmul_nt": {0}, "matmul_tn": {0, 1}, "attention": {0, 1, 2}, "attention_grad": {0, 1, 2, 3, 5}, "swiglu": {0, 1}, "swiglu_grad": {0, 1, 2},
}

// rounders are the kernels that write what products round as rounded, in so many of
// their first outputs.
var rounders = map[string]int{
	"rmsnorm": 1, "linear": 1, "linear_dx": 1, "lora_linear": 1, "lora_dx": 1, "lora_dropped_dx": 1,
	"swiglu": 1, "swiglu_grad": 2, "dropout": 1, "rope": 1, "attention": 1,
}

// HeadCols is what the width of a head is a multiple of where attention reads or writes
// rounded values.
const HeadCols = 32

// HoldRounded gives computed values that are read as sides alone the type that the
// device's products round them to (Options.Rounded): they take less memory, and no
// number changes but what SwiGLU and the sums of do*o read. keep is read from outside. It is called
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
		if op, i := outputOf(n); op != nil && !others[n] && i < rounders[op.Kernel] && op.wholeHeads() && b.Info(n).Cols%b.roundedCols == 0 {
			op.Outs[i].Type = b.rounded
			b.info[n] = op.Outs[i]
		}
	}
}

// outputOf is the op of which the node is an output, or nil, and which one.
func outputOf(n *Node) (op *Op, i int) {
	switch op := n.Op().(type) {
	case *Part:
		return op.source, op.Index
	case *Op:
		if len(op.Outs) == 1 {
			return op, 0
		}
	}
	return nil, 0
}

// wholeHeads says whether heads, if the op has any, may be held rounded.
func (op *Op) wholeHeads() bool {
	attr, is := op.Attr.(device.Attention)
	return !is || attr.HeadDim%HeadCols == 0
}

// rounds says whether values may be held in another type than the activations'.
func (b *Builder) rounds() bool { return b.rounded != 0 && b.rounded != b.activations }

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
