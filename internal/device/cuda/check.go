package cuda

import (
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// checkWeight checks the shape of a frozen weight as Place holds it, or of a
// trained one in F32.
func checkWeight(k *contract.Check, name string, v device.View, rows, cols int) {
	switch {
	case v.Type != device.F32 && HeldType(v.Type) != v.Type:
		k.Failf("%s is %s, want f32, bf16 or a type of blocks", name, v.Type)
	case v.Rows != rows || v.Cols != cols:
		k.Failf("%s is %dx%d, want %dx%d", name, v.Rows, v.Cols, rows, cols)
	case v.Layout != device.Plain:
		k.Failf("%s is packed", name)
	}
	k.Present(name, v)
}

// activations checks a matrix of activations: float32 or bf16.
func activations(k *contract.Check, name string, v device.View, rows, cols int) {
	t := device.F32
	if v.Type == device.BF16 {
		t = v.Type
	}
	k.Matrix(name, v, t, rows, cols)
}

// activationsOut is activations for an output that is skipped where its address
// is 0.
func activationsOut(k *contract.Check, name string, v device.View, rows, cols int) {
	if v.Addr != 0 {
		activations(k, name, v, rows, cols)
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
