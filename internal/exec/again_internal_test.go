package exec

import (
	"slices"
	"testing"
)

// A swiglu that a backward program computes again is done by its gradient, where what reads
// y in between writes for the caller alone.
func TestSwiGLUIsDoneAgainByItsGradient(t *testing.T) {
	const g, u, y, du, dA, dy, dg, dUp, z = 0, 1, 2, 3, 4, 5, 6, 7, 8
	swiglu := step{kernel: "swiglu", in: []int{g, u}, out: []int{y}, base: -1}
	gradientOfA := step{kernel: "matmul_tn", in: []int{du, y}, out: []int{dA}, base: -1}
	dx := step{kernel: "lora_dx", in: []int{du}, out: []int{dy}, base: -1}
	gradient := step{kernel: "swiglu_grad", in: []int{g, u, dy}, out: []int{dg, dUp, -1}, base: -1}
	product := step{kernel: "lora_linear", in: []int{y}, out: []int{z}, base: -1}
	reader := step{kernel: "dora_dm", in: []int{z, dA}, out: []int{dy}, base: -1}
	other := step{kernel: "swiglu_grad", in: []int{u, g, dy}, out: []int{dg, dUp, -1}, base: -1}
	for name, c := range map[string]struct {
		steps []step
		want  []string
	}{
		"done again":             {[]step{swiglu, gradientOfA, dx, gradient}, []string{"lora_dx", "swiglu_grad", "matmul_tn"}},
		"read by a value":        {[]step{swiglu, product, dx, gradient}, []string{"swiglu", "lora_linear", "lora_dx", "swiglu_grad"}},
		"what it gives is read":  {[]step{swiglu, gradientOfA, reader, gradient}, []string{"swiglu", "matmul_tn", "dora_dm", "swiglu_grad"}},
		"another's gradient":     {[]step{swiglu, gradientOfA, dx, other}, []string{"swiglu", "matmul_tn", "lora_dx", "swiglu_grad"}},
		"the gradient has a y":   {[]step{swiglu, dx, {kernel: "swiglu_grad", in: gradient.in, out: []int{dg, dUp, z}}}, []string{"swiglu", "lora_dx", "swiglu_grad"}},
		"no gradient behind it":  {[]step{gradient, swiglu, gradientOfA}, []string{"swiglu_grad", "swiglu", "matmul_tn"}},
		"a sum in the caller's":  {[]step{swiglu, {kernel: "matmul_tn", in: gradientOfA.in, out: []int{dA}, base: dA}, gradient}, []string{"swiglu", "matmul_tn", "swiglu_grad"}},
		"nobody reads y between": {[]step{swiglu, dx, gradient, gradientOfA}, []string{"lora_dx", "swiglu_grad", "matmul_tn"}},
	} {
		p := &Plan{slots: make([]slot, 9), steps: c.steps}
		p.slots[dA].external = true
		before := slices.Clone(c.steps)
		got := p.again()
		var kernels []string
		for _, s := range got {
			kernels = append(kernels, s.kernel)
		}
		if !slices.Equal(kernels, c.want) {
			t.Errorf("%s: %v, want %v", name, kernels, c.want)
		}
		for _, s := range got {
			if s.kernel == "swiglu_grad" && len(got) < len(before) && s.out[2] != y {
				t.Errorf("%s: the gradient gives %v: want y", name, s.out)
			}
		}
		if gradient.out[2] != -1 {
			t.Fatalf("%s: the step that was given has changed", name)
		}
	}
}
