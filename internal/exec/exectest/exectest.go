// Package exectest runs small graphs in tests: values in, values and gradients
// out, on a given backend, and under Gorgonia's own machine beside it.
package exectest

import (
	"fmt"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
)

// Value is the host copy of an input or output: float64 numbers, rounded to
// the node's type on the way in.
type Value []float64

// Graph is a small graph with the values of its inputs.
type Graph struct {
	*graph.Builder
	Out    *graph.Node
	Values map[*graph.Node]Value
	order  graph.Nodes
}

// New starts a graph of the given activation type. oracle may be nil.
func New(act device.Type, oracle device.Backend) *Graph {
	return NewWith(graph.Options{Activations: act, Oracle: oracle})
}

// NewWith is New with further options.
func NewWith(o graph.Options) *Graph {
	return &Graph{Builder: graph.New(o), Values: map[*graph.Node]Value{}}
}

// In adds an input with its value.
func (g *Graph) In(name string, info graph.Info, v Value) *graph.Node {
	n := g.Input(name, info)
	g.Values[n] = v
	g.order = append(g.order, n)
	return n
}

// Trained lists the inputs that want a gradient.
func (g *Graph) Trained() graph.Nodes {
	var list graph.Nodes
	for _, n := range g.order {
		if g.Info(n).Trained {
			list = append(list, n)
		}
	}
	return list
}

// Run compiles the nodes, runs them once and returns their values. The arena is
// filled with NaN first, so that a read of something unwritten shows.
func Run(t testing.TB, b device.Backend, g *Graph, nodes ...*graph.Node) []Value {
	t.Helper()
	plan, err := exec.Compile(exec.Spec{Builder: g.Builder, Outputs: nodes})
	if err != nil {
		t.Fatal(err)
	}
	p := Bind(t, b, g, plan)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	values := make([]Value, len(nodes))
	for i, n := range nodes {
		v, ok := p.Value(n)
		if !ok {
			t.Fatalf("%v has no value", n)
		}
		values[i] = Read(t, b, v)
	}
	return values
}

// Bind puts a plan on the backend with every input of the graph uploaded.
func Bind(t testing.TB, b device.Backend, g *Graph, plan *exec.Plan) *exec.Program {
	t.Helper()
	mem := alloc(t, b, max(plan.ArenaBytes(), 1))
	nan := make([]byte, max(plan.ArenaBytes(), 1))
	for i := range nan {
		nan[i] = 0xff
	}
	if err := b.Upload(mem.At(0, device.I32, len(nan)/4, 1), nan[:len(nan)/4*4]); err != nil {
		t.Fatal(err)
	}
	p, err := plan.Bind(b, mem)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Inputs() {
		p.SetNode(n, Upload(t, b, g.Info(n), g.Values[n]))
	}
	return p
}

func alloc(t testing.TB, b device.Backend, bytes int64) device.Memory {
	t.Helper()
	mem, err := b.Alloc(bytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Free(mem) })
	return mem
}

// Upload allocates a value on the backend.
func Upload(t testing.TB, b device.Backend, info graph.Info, v Value) device.View {
	t.Helper()
	if want := info.Rows.Max * info.Width(); len(v) != want {
		t.Fatalf("value has %d elements, %v wants %d", len(v), info, want)
	}
	view := alloc(t, b, info.Bytes()).At(0, info.Type, info.Rows.Max, info.Width())
	if err := b.Upload(view, encode(info.Type, v)); err != nil {
		t.Fatal(err)
	}
	return view
}

func encode(typ device.Type, v Value) []byte {
	switch typ {
	case device.F64:
		return bytesOf([]float64(v))
	case device.I32:
		return bytesOf(convert[int32](v))
	}
	return bytesOf(convert[float32](v))
}

func convert[T int32 | float32](v Value) []T {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	return out
}

func bytesOf[T any](v []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(zero)))
}

// Read downloads a view.
func Read(t testing.TB, b device.Backend, v device.View) Value {
	t.Helper()
	raw := make([]byte, v.Bytes())
	if err := b.Download(raw, v); err != nil {
		t.Fatal(err)
	}
	out := make(Value, v.Len())
	for i := range out {
		switch v.Type {
		case device.F64:
			out[i] = *(*float64)(unsafe.Pointer(&raw[8*i]))
		case device.I32:
			out[i] = float64(*(*int32)(unsafe.Pointer(&raw[4*i])))
		default:
			out[i] = float64(*(*float32)(unsafe.Pointer(&raw[4*i])))
		}
	}
	return out
}

// Gradients differentiates <seed, out> by the trained inputs; the seed's value
// is dy. It returns the gradient nodes.
func (g *Graph) Gradients(t testing.TB, dy Value) graph.Nodes {
	t.Helper()
	grads, seeds := g.Builder.Gradients(graph.Nodes{g.Out}, g.Trained())
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Values[seeds[0]] = dy
	return grads
}

// Name is the name of an input for messages.
func (g *Graph) Name(n *graph.Node) string { return fmt.Sprintf("%s %v", n.Name(), g.Info(n)) }
