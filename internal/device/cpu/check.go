package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// checkWeight checks the shape of a frozen weight of any stored type.
func checkWeight(k *contract.Check, name string, v device.View, rows, cols int) {
	switch {
	case !placeable(v.Type):
		k.Failf("%s is %s, want a float type or one of blocks", name, v.Type)
	case v.Rows != rows || v.Cols != cols:
		k.Failf("%s is %dx%d, want %dx%d", name, v.Rows, v.Cols, rows, cols)
	case v.Layout != device.Plain && v.Type != device.F32 && v.Type != device.BF16:
		k.Failf("%s is packed %s, want f32 or bf16", name, v.Type)
	}
	k.Present(name, v)
}

// placeable says whether a weight may be of the type.
func placeable(t device.Type) bool {
	switch t {
	case device.F32, device.F64, device.BF16, device.F16:
		return true
	}
	return t.IsBlock()
}

// checkIndices checks that every index is at least lo and below limit.
func checkIndices(k *contract.Check, name string, index []int32, lo, limit int) {
	if k.Err != nil {
		return
	}
	for i, x := range index {
		if int(x) < lo || int(x) >= limit {
			if lo == math.MinInt32 {
				k.Failf("%s[%d] is %d, want less than %d", name, i, x, limit)
			} else {
				k.Failf("%s[%d] is %d, want %d to %d", name, i, x, lo, limit-1)
			}
			return
		}
	}
}

// attribute is the attribute as the kernel's type.
func attribute[T any](kernel string, attr any) (T, error) {
	a, ok := attr.(T)
	if !ok {
		return a, fmt.Errorf("cpu: %s: attribute is %T, want %T", kernel, attr, a)
	}
	return a, nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
