package exec

import (
	"fmt"
	"slices"

	"align/internal/graph"
)

// SavePolicy says which values of a layer survive from its forward to its
// backward pass; all others are computed again. The gradients are the same to
// the last bit under every policy.
type SavePolicy string

// Policies, from the least memory to the least time.
const (
	// SaveTiled keeps what SaveNone does, and what is as wide as the feed-forward
	// part exists for some tokens at a time only: see NewTiled.
	SaveTiled SavePolicy = "tiled"
	// SaveNone keeps only the layer's input (and the row lengths of DoRA).
	SaveNone SavePolicy = "none"
	// SaveAttention keeps attention's output and its log-sum-exp.
	SaveAttention SavePolicy = "attention"
	// SaveProducts keeps attention's output and what attention reads, the gate's
	// product and adapters' products down to their rank. It computes norms, activations
	// and the products of attention's output and up again: the state between the two
	// halves, in float32, takes twice the memory for its product that others do.
	SaveProducts SavePolicy = "products"
	// SaveUp is SaveProducts that keeps the product of up too, of some layers: it has no
	// name that a user gives.
	SaveUp SavePolicy = "products and up"
	// SaveAll keeps everything that the backward pass reads.
	SaveAll SavePolicy = "all"
)

// SavePolicies lists the policies from the least memory to the least time.
var SavePolicies = []SavePolicy{SaveTiled, SaveNone, SaveAttention, SaveProducts, SaveAll}

// ParseSavePolicy reads a policy's name.
func ParseSavePolicy(s string) (SavePolicy, error) {
	for _, p := range SavePolicies {
		if string(p) == s {
			return p, nil
		}
	}
	return "", fmt.Errorf("exec: save policy %q: want one of %v", s, SavePolicies)
}

// keptOperands are those of gradients that SaveProducts keeps: queries, keys and values,
// the gate, and, of DoRA, what the magnitudes scale.
var keptOperands = map[string][]int{"attention_grad": {0, 1, 2}, "swiglu_grad": {0}, "dora_dm": {0}}

// keeps says whether the policy saves a value that the named kernel made, which
// the reader takes as the given operand.
func (p SavePolicy) keeps(kernel, reader string, operand int) bool {
	if kernel == "dora_norm" { // a vector that costs a product over the weight
		return true
	}
	switch p {
	case SaveAll:
		return true
	case SaveUp:
		return SaveProducts.keeps(kernel, reader, operand) || reader == "swiglu_grad" && operand == 1
	case SaveProducts:
		return kernel == "attention" || reader == "lora_du" && kernel == "lora_linear" || slices.Contains(keptOperands[reader], operand) && kernel != "dora_scale"
	case SaveAttention:
		return kernel == "attention"
	}
	return false
}

// saved lists the forward values that the gradients read and the policy keeps.
func saved(b *graph.Builder, policy SavePolicy, y *graph.Node, grads graph.Nodes) graph.Nodes {
	forward := ancestors(b, graph.Nodes{y})
	backward := ancestors(b, grads)
	var keep graph.Nodes
	seen := map[*graph.Node]bool{}
	for _, n := range b.Graph().AllNodes() {
		if forward[n] || computedForward(b, forward, n) || !backward[n] {
			continue
		}
		for i, child := range b.Children(n) {
			kernel := kernelOf(b, child)
			if kernel == "" || seen[child] || !computedForward(b, forward, child) || !policy.keeps(kernel, readerOf(n), i) {
				continue
			}
			seen[child] = true
			keep = append(keep, child)
		}
	}
	return keep
}

// computedForward says whether the forward pass makes the value: it lies on the
// way to y, or is a further output of an op that does (attention's lse).
func computedForward(b *graph.Builder, forward map[*graph.Node]bool, n *graph.Node) bool {
	if _, ok := n.Op().(*graph.Part); ok {
		n = b.Children(n)[0]
	}
	return forward[n]
}

// readerOf is the kernel of a node of the backward pass, "" for a part or a sum.
func readerOf(n *graph.Node) string {
	if op, ok := n.Op().(*graph.Op); ok {
		return op.Kernel
	}
	return ""
}

// kernelOf is the kernel behind a value: of its tuple for a part; "" for an
// input and for a tuple itself, which nothing but its parts may read.
func kernelOf(b *graph.Builder, n *graph.Node) string {
	switch op := n.Op().(type) {
	case *graph.Part:
		return b.Children(n)[0].Op().(*graph.Op).Kernel
	case *graph.Op:
		if len(op.Outs) > 1 {
			return ""
		}
		return op.Kernel
	}
	return ""
}

func ancestors(b *graph.Builder, roots graph.Nodes) map[*graph.Node]bool {
	seen := map[*graph.Node]bool{}
	stack := append(graph.Nodes{}, roots...)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		stack = append(stack, b.Children(n)...)
	}
	return seen
}
