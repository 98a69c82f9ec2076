package exec_test

import (
	"fmt"
	"testing"
	"time"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/exec/exectest"
	"align/internal/graph"
)

// A small decoder layer of every op that a real one has: T=6, C=8, H=4, K=2,
// D=2, F=5, R=2.
const (
	layerT, layerC, layerF, layerR = 6, 8, 5, 2
)

var layerAttention = device.Attention{Heads: 4, KVHeads: 2, HeadDim: 2, Scale: 0.7}

// layerInputs declares the inputs of one layer through a constructor, in order.
func layerInputs(act device.Type, in func(name string, info graph.Info) *graph.Node) graph.Nodes {
	tokens := graph.Dim{Max: layerT, Symbol: graph.Tokens}
	nodes := graph.Nodes{
		in("table", graph.Matrix(act, tokens, 2)),
		in("prefix start", graph.Vector(device.I32, tokens)),
		in("prefix end", graph.Vector(device.I32, tokens)),
		in("segment start", graph.Vector(device.I32, tokens)),
		in("norm", graph.Vector(act, graph.Size(layerC))),
	}
	for _, w := range []struct {
		name      string
		rows, col int
	}{{"q", 8, layerC}, {"k", 4, layerC}, {"v", 4, layerC}, {"o", layerC, 8}, {"gate", layerF, layerC}, {"up", layerF, layerC}, {"down", layerC, layerF}} {
		a, b := graph.Matrix(act, graph.Size(layerR), w.col), graph.Matrix(act, graph.Size(w.rows), layerR)
		a.Trained, b.Trained = true, true
		nodes = append(nodes, in(w.name, graph.Matrix(act, graph.Size(w.rows), w.col)), in(w.name+".A", a), in(w.name+".B", b))
	}
	return nodes
}

// layerBody is the layer itself.
func layerBody(b *graph.Builder, x *graph.Node, p graph.Nodes) *graph.Node {
	linear := func(x *graph.Node, i int) *graph.Node {
		return b.LoRALinear(x, p[5+3*i], nil, graph.LoRA{A: p[6+3*i], B: p[7+3*i], Scale: 2})
	}
	h := b.RMSNorm(x, p[4], 1e-5)
	mask := graph.Mask{PrefixStart: p[1], PrefixEnd: p[2], SegmentStart: p[3]}
	o := b.Attention(b.Rope(linear(h, 0), p[0]), b.Rope(linear(h, 1), p[0]), linear(h, 2), mask, layerAttention)
	x = b.Residual(x, linear(o, 3))
	h = b.RMSNorm(x, p[4], 1e-5)
	return b.Residual(x, linear(b.SwiGLU(linear(h, 4), linear(h, 5)), 6))
}

func newLayerSub(t testing.TB, act device.Type, policy exec.SavePolicy, fromBelow bool) *exec.Sub {
	t.Helper()
	sub, err := exec.NewSub(graph.Options{Activations: act}, policy, func(b *graph.Builder) exec.Body {
		x := graph.Matrix(act, graph.Dim{Max: layerT, Symbol: graph.Tokens}, layerC)
		x.Trained = fromBelow
		body := exec.Body{X: b.Input("x", x)}
		body.Params = layerInputs(act, b.Input)
		body.Y = layerBody(b, body.X, body.Params)
		return body
	})
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// stack is a decoder of n layers, each with its own inputs; policy "" puts the
// layers into the outer graph itself.
func stack(t testing.TB, act device.Type, oracle device.Backend, n int, policy exec.SavePolicy) *source {
	t.Helper()
	s := newSource(act, oracle)
	tokens := graph.Dim{Max: layerT, Symbol: graph.Tokens}
	x := s.In("x0", graph.Matrix(act, tokens, layerC), s.normal(layerT*layerC))
	perToken := func(name string, v ...float64) *graph.Node { return s.In(name, graph.Vector(device.I32, tokens), v) }
	table := s.RopeTable(perToken("position", 0, 1, 2, 2, 3, 4), []float64{1})
	masks := graph.Nodes{
		perToken("prefix start", 0, 0, 0, 0, 0, 0), perToken("prefix end", 0, 0, 0, 2, 2, 2),
		perToken("segment start", 0, 0, 0, 3, 3, 3),
	}
	var first, other *exec.Sub
	if policy != "" {
		first, other = newLayerSub(t, act, policy, false), newLayerSub(t, act, policy, true)
	}
	for layer := range n {
		shared := append(graph.Nodes{table}, masks...)
		params := layerInputs(act, func(name string, info graph.Info) *graph.Node {
			if len(shared) > 0 {
				node := shared[0]
				shared = shared[1:]
				return node
			}
			return s.In(fmt.Sprintf("%d.%s", layer, name), info, s.normal(info.Rows.Max*info.Width()))
		})
		sub := other
		if layer == 0 {
			sub = first
		}
		if policy == "" {
			x = layerBody(s.Builder, x, params)
		} else {
			var err error
			if x, err = sub.Apply(s.Builder, x, params...); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Out = x
	return s
}

// results runs a stack forward and backward.
func results(t *testing.T, b device.Backend, s *source) []exectest.Value {
	t.Helper()
	grads := s.Graph.Gradients(t, s.normal(layerT*layerC))
	return exectest.Run(t, b, s.Graph, append(grads, s.Out)...)
}

func TestRecomputedLayersEqualTheFlatGraph(t *testing.T) {
	for _, act := range []device.Type{device.F32, device.F64} {
		b := backend(t, act)
		want := results(t, b, stack(t, act, nil, 3, ""))
		for _, policy := range exec.SavePolicies {
			got := results(t, b, stack(t, act, nil, 3, policy))
			for i := range want {
				equalBits(t, fmt.Sprintf("%v, policy %s: value %d", act, policy, i), got[i], want[i])
			}
		}
	}
}

// It runs on portable kernels, whose accumulating product equals a product and
// an addition bit for bit: those in machine code begin the sum with what the
// output holds, which rounds in another order than Gorgonia's own addition.
func TestAFlatDecoderEqualsGorgoniasMachine(t *testing.T) {
	for _, act := range []device.Type{device.F32, device.F64} {
		b := portableBackend(t, act)
		s := stack(t, act, b, 2, "")
		nodes := append(s.Graph.Gradients(t, s.normal(layerT*layerC)), s.Out)
		got, want := exectest.Run(t, b, s.Graph, nodes...), exectest.Tape(t, s.Graph, nodes...)
		for i := range nodes {
			equalBits(t, s.Graph.Name(nodes[i]), got[i], want[i])
		}
	}
}

// bound compiles and binds a differentiated stack.
func bound(t testing.TB, b device.Backend, s *source, dy exectest.Value) (*exec.Program, graph.Nodes) {
	t.Helper()
	nodes := append(s.Graph.Gradients(t, dy), s.Out)
	plan, err := exec.Compile(exec.Spec{Builder: s.Builder, Outputs: nodes})
	if err != nil {
		t.Fatal(err)
	}
	return exectest.Bind(t, b, s.Graph, plan), nodes
}

func TestARunAllocatesNothing(t *testing.T) {
	s := stack(t, device.F32, nil, 2, exec.SaveNone)
	p, _ := bound(t, backend(t, device.F32), s, s.normal(layerT*layerC))
	n := testing.AllocsPerRun(20, func() {
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a step allocates %v times, want 0", n)
	}
}

func TestFewerRowsEqualASmallerGraph(t *testing.T) {
	b := backend(t, device.F32)
	s := stack(t, device.F32, nil, 2, exec.SaveNone)
	dy := s.normal(layerT * layerC)
	full, nodes := bound(t, b, s, dy)
	if err := full.Run(); err != nil {
		t.Fatal(err)
	}
	out := nodes[len(nodes)-1]
	v, _ := full.Value(out)
	want := exectest.Read(t, b, v)[:4*layerC]
	full.Resize(graph.Tokens, 4)
	if err := full.Run(); err != nil {
		t.Fatal(err)
	}
	v, _ = full.Value(out)
	if v.Rows != 4 {
		t.Fatalf("output has %d rows, want 4", v.Rows)
	}
	equalBits(t, "first rows", exectest.Read(t, b, v), want)
}

func TestNoRowsInTheFirstRun(t *testing.T) {
	s := stack(t, device.F32, nil, 2, exec.SaveNone)
	p, nodes := bound(t, backend(t, device.F32), s, s.normal(layerT*layerC))
	p.Resize(graph.Tokens, 0)
	if v, _ := p.Value(nodes[len(nodes)-1]); v.Rows != 0 {
		t.Errorf("output has %d rows, want 0", v.Rows)
	}
}

func TestCompilingIsLinearInLayers(t *testing.T) {
	compile := func(layers int) time.Duration {
		s := stack(t, device.F32, nil, layers, exec.SaveNone)
		nodes := append(s.Graph.Gradients(t, s.normal(layerT*layerC)), s.Out)
		best := time.Hour
		for range 10 {
			start := time.Now()
			if _, err := exec.Compile(exec.Spec{Builder: s.Builder, Outputs: nodes}); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	short, long := compile(20), compile(80)
	t.Logf("compile: 20 layers %v, 80 layers %v", short, long)
	// Four times the layers: linear is 4, quadratic 16. The limit of 100 ms is
	// the project's; it is far above what a loaded machine takes.
	if long > 8*short && long > 20*time.Millisecond || long > 100*time.Millisecond {
		t.Errorf("80 layers compile in %v, 20 in %v: want at most 8 times and 100ms", long, short)
	}
}
