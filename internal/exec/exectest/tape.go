package exectest

import (
	"testing"

	"align/internal/device"
	"align/internal/graph"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Tape runs the whole graph under Gorgonia's own machine and returns the values
// of the nodes. The graph must have been built with an oracle backend.
func Tape(t testing.TB, g *Graph, nodes ...*graph.Node) []Value {
	t.Helper()
	for _, n := range g.Inputs() {
		if err := gorgonia.Let(n, dense(g.Info(n), g.Values[n])); err != nil {
			t.Fatal(err)
		}
	}
	vm := gorgonia.NewTapeMachine(g.Graph())
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	values := make([]Value, len(nodes))
	for i, n := range nodes {
		values[i] = denseValue(t, n.Value())
	}
	return values
}

func dense(info graph.Info, v Value) *tensor.Dense {
	shape := []int{info.Rows.Max}
	if info.Cols > 0 {
		shape = append(shape, info.Cols)
	}
	switch info.Type {
	case device.F64:
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float64{}, v...)))
	case device.I32:
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(convert[int32](v)))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(convert[float32](v)))
}

func denseValue(t testing.TB, v gorgonia.Value) Value {
	t.Helper()
	switch data := v.Data().(type) {
	case []float64:
		return data
	case []float32:
		out := make(Value, len(data))
		for i, x := range data {
			out[i] = float64(x)
		}
		return out
	}
	t.Fatalf("value is a %T", v.Data())
	return nil
}
