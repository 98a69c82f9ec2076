package exec_test

import (
	"testing"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/exec/exectest"
	"align/internal/graph"
)

// Where a value is wanted late, making it late takes less memory; no value
// changes.
func TestLateStepsTakeLessMemory(t *testing.T) {
	const rows, wide = 64, 256
	b := backend(t, device.F32)
	run := func(late bool) (arena int64, out []float64) {
		s := newSource(device.F32, nil)
		x := s.In("x", graph.Matrix(device.F32, graph.Size(rows), wide), s.normal(rows*wide))
		norm := s.In("norm", graph.Vector(device.F32, graph.Size(wide)), s.normal(wide))
		early := s.RMSNorm(x, norm, 1e-5) // read last
		y := x
		for range 3 {
			y = s.SwiGLU(s.Residual(y, x), s.RMSNorm(y, norm, 1e-5))
		}
		s.Out = s.Residual(s.Linear(y, s.In("w", graph.Matrix(device.F32, graph.Size(wide), wide), s.normal(wide*wide)), nil), early)
		plan, err := exec.Compile(exec.Spec{Builder: s.Builder, Outputs: graph.Nodes{s.Out}, Late: late})
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
	inOrder, want := run(false)
	late, got := run(true)
	if late >= inOrder {
		t.Errorf("%d bytes late, %d in order", late, inOrder)
	}
	equalBits(t, "the output", got, want)
}
