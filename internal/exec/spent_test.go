package exec_test

import (
	"testing"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/exec/exectest"
	"align/internal/graph"
)

// A spent input is overwritten where it is read for the last time, and not before;
// no value changes, and what is written there takes no memory.
func TestSpentInputsAreWrittenTo(t *testing.T) {
	const rows, cols = 8, 64
	b := backend(t, device.F32)
	for _, c := range []struct {
		name  string
		saves int64 // values of the arena
		build func(s *source, x, y *graph.Node) *graph.Node
	}{
		{"once", 1, func(s *source, x, y *graph.Node) *graph.Node { return s.Residual(x, y) }},
		{"in a chain", 1, func(s *source, x, y *graph.Node) *graph.Node { return s.Residual(x, s.Residual(x, y)) }},
		{"again", 0, func(s *source, x, y *graph.Node) *graph.Node { return s.Residual(s.Residual(x, y), s.SwiGLU(y, x)) }},
	} {
		run := func(spend bool) (arena int64, out []float64) {
			s := newSource(device.F32, nil)
			info := graph.Matrix(device.F32, graph.Size(rows), cols)
			x, y := s.In("x", info, s.normal(rows*cols)), s.In("y", info, s.normal(rows*cols))
			s.Out = c.build(s, x, y)
			spec := exec.Spec{Builder: s.Builder, Outputs: graph.Nodes{s.Out}}
			if spend {
				spec.Spent = graph.Nodes{y}
			}
			plan, err := exec.Compile(spec)
			if err != nil {
				t.Fatal(err)
			}
			p := exectest.Bind(t, b, s.Graph, plan)
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			v, _ := p.Value(s.Out)
			return plan.ArenaBytes(), exectest.Read(t, b, v)
		}
		plain, want := run(false)
		spent, got := run(true)
		if spent != plain-c.saves*4*rows*cols {
			t.Errorf("%s: %d bytes, %d where nothing is spent", c.name, spent, plain)
		}
		equalBits(t, c.name, got, want)
	}
}
