package exectest

import (
	"fmt"
	"math"
	"testing"

	"align/internal/device"
	"align/internal/graph"

	"gonum.org/v1/gonum/diff/fd"
)

// Formula is a function of float64 vectors under test, as a loss is.
type Formula func(b *graph.Builder, in graph.Nodes) *graph.Node

// Evaluate is the formula's value, and the gradients of the sum of its elements
// by all inputs.
func Evaluate(t testing.TB, b device.Backend, f Formula, in ...Value) (value Value, grads []Value) {
	t.Helper()
	g := New(device.F64, nil)
	nodes := make(graph.Nodes, len(in))
	for i, v := range in {
		info := graph.Vector(device.F64, graph.Size(len(v)))
		info.Trained = true
		nodes[i] = g.In(fmt.Sprintf("in.%d", i), info, v)
	}
	g.Out = f(g.Builder, nodes)
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	ones := make(Value, g.Info(g.Out).Rows.Max)
	for i := range ones {
		ones[i] = 1
	}
	found, used := g.gradients(t, ones)
	values := Run(t, b, g, append(found, g.Out)...)
	grads = make([]Value, len(in))
	for i := range in {
		grads[i] = make(Value, len(in[i]))
	}
	for i, k := range used {
		grads[k] = values[i]
	}
	return values[len(values)-1], grads
}

// gradients differentiates by the inputs that the output depends on: Gorgonia
// refuses the others. used are their indices.
func (g *Graph) gradients(t testing.TB, dy Value) (grads graph.Nodes, used []int) {
	t.Helper()
	reached := map[*graph.Node]bool{}
	var visit func(n *graph.Node)
	visit = func(n *graph.Node) {
		if reached[n] || !g.NeedsGrad(n) {
			return
		}
		reached[n] = true
		for _, c := range g.Children(n) {
			visit(c)
		}
	}
	visit(g.Out)
	var wrt graph.Nodes
	for i, n := range g.Trained() {
		if reached[n] {
			wrt, used = append(wrt, n), append(used, i)
		}
	}
	if len(wrt) == 0 {
		return nil, nil
	}
	grads, seeds := g.Builder.Gradients(graph.Nodes{g.Out}, wrt)
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Values[seeds[0]] = dy
	return grads, used
}

// CheckGradients holds the formula's gradients to central differences through
// the same graph: each element may be off by the tolerance times the largest
// element (at least 1) of its input's gradient. The formula must be smooth
// around the inputs.
func CheckGradients(t testing.TB, b device.Backend, tolerance float64, f Formula, in ...Value) {
	t.Helper()
	_, grads := Evaluate(t, b, f, in...)
	for i := range in {
		sum := func(x []float64) float64 {
			moved := append([]Value{}, in...)
			moved[i] = x
			value, _ := Evaluate(t, b, f, moved...)
			total := 0.0
			for _, v := range value {
				total += v
			}
			return total
		}
		want := fd.Gradient(nil, sum, in[i], &fd.Settings{Formula: fd.Central})
		scale := 1.0
		for _, w := range want {
			scale = max(scale, math.Abs(w))
		}
		for k, w := range want {
			if off := math.Abs(grads[i][k] - w); !(off <= tolerance*scale) {
				t.Errorf("gradient by input %d, element %d: got %v, differences give %v", i, k, grads[i][k], w)
			}
		}
	}
}
