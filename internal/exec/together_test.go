package exec_test

import (
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/exec/exectest"
	"align/internal/graph"
)

// The gradients of adapters' A that read one x are taken one behind the other where they
// go to the caller, with the bits that they have in the order of the graph.
func TestGradientsOfOneXAreTakenTogether(t *testing.T) {
	const rows, wide, rank = 8, 32, 2
	b := backend(t, device.F32)
	run := func(external bool) (kernels []string, grads [][]float64) {
		s := newSource(device.F32, nil)
		trained := func(name string, rows, cols int) *graph.Node {
			info := graph.Matrix(device.F32, graph.Size(rows), cols)
			info.Trained = true
			return s.In(name, info, s.normal(rows*cols))
		}
		h := s.RMSNorm(trained("x", rows, wide), s.In("norm", graph.Vector(device.F32, graph.Size(wide)), s.normal(wide)), 1e-5)
		for i := range 3 {
			w := s.In(fmt.Sprint("w", i), graph.Matrix(device.F32, graph.Size(wide), wide), s.normal(wide*wide))
			y := s.LoRALinear(h, w, nil, graph.LoRA{A: trained(fmt.Sprint("A", i), rank, wide), B: trained(fmt.Sprint("B", i), wide, rank), Scale: 2})
			if s.Out == nil {
				s.Out = y
			} else {
				s.Out = s.SwiGLU(s.Out, y)
			}
		}
		nodes := s.Gradients(t, s.normal(rows*wide))
		spec := exec.Spec{Builder: s.Builder, Outputs: nodes}
		if external {
			spec.Outputs, spec.External = nil, map[*graph.Node]exec.Access{}
			for _, n := range nodes {
				spec.External[n] = exec.Overwrite
			}
		}
		plan, err := exec.Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range plan.Kernels() {
			kernels = append(kernels, k.Kernel)
		}
		p := exectest.Bind(t, b, s.Graph, plan)
		for _, n := range nodes {
			if external {
				p.SetNode(n, exectest.Upload(t, b, s.Info(n), make(exectest.Value, s.Info(n).Rows.Max*s.Info(n).Width())))
			}
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			v, _ := p.Value(n)
			grads = append(grads, exectest.Read(t, b, v))
		}
		return kernels, grads
	}
	_, want := run(false)
	kernels, got := run(true)
	first := slices.Index(kernels, "matmul_tn")
	if first < 0 || !slices.Equal(kernels[first:first+3], []string{"matmul_tn", "matmul_tn", "matmul_tn"}) {
		t.Errorf("the gradients of A are not together: %v", kernels)
	}
	for i := range want {
		equalBits(t, fmt.Sprint("gradient ", i), got[i], want[i])
	}
}
