package cpu

import (
	"errors"
	"fmt"
	"math"

	"align/internal/device"
)

// checker gathers what is wrong with the views of one call; a kernel checks
// everything before it touches memory. On the good path it allocates nothing.
type checker struct {
	kernel string
	err    error
}

func (k *checker) failf(format string, args ...any) {
	k.err = errors.Join(k.err, fmt.Errorf("cpu: "+k.kernel+": "+format, args...))
}

// arity checks the number of outputs and inputs; later checks may index them
// only if it returns true.
func (k *checker) arity(c *device.Call, out, in int) bool {
	if len(c.Out) != out || len(c.In) != in {
		k.failf("got %d outputs and %d inputs, want %d and %d", len(c.Out), len(c.In), out, in)
		return false
	}
	return true
}

// overwrites is for kernels whose contract knows no Accumulate.
func (k *checker) overwrites(c *device.Call) {
	if c.Accumulate {
		k.failf("cannot accumulate")
	}
}

// matrix checks type, layout and shape of a view that must be there.
func (k *checker) matrix(name string, v device.View, t device.Type, rows, cols int) {
	if v.Type != t || v.Layout != device.Plain || v.Rows != rows || v.Cols != cols {
		k.failf("%s is %s %dx%d (layout %d), want plain %s %dx%d", name, v.Type, v.Rows, v.Cols, v.Layout, t, rows, cols)
	}
	k.present(name, v)
}

// output checks a view that is skipped where its address is 0.
func (k *checker) output(name string, v device.View, t device.Type, rows, cols int) {
	if v.Addr != 0 {
		k.matrix(name, v, t, rows, cols)
	}
}

// vector checks a view of n elements, whichever way it lies.
func (k *checker) vector(name string, v device.View, t device.Type, n int) {
	if v.Type != t || v.Layout != device.Plain || v.Len() != n {
		k.failf("%s is %s %dx%d (layout %d), want %s of %d elements", name, v.Type, v.Rows, v.Cols, v.Layout, t, n)
	}
	k.present(name, v)
}

// outputVector is vector for a view that is skipped where its address is 0.
func (k *checker) outputVector(name string, v device.View, t device.Type, n int) {
	if v.Addr != 0 {
		k.vector(name, v, t, n)
	}
}

// weight checks the shape of a frozen weight of any stored type.
func (k *checker) weight(name string, v device.View, rows, cols int) {
	switch {
	case !placeable(v.Type):
		k.failf("%s is %s, want a float type or one of blocks", name, v.Type)
	case v.Rows != rows || v.Cols != cols:
		k.failf("%s is %dx%d, want %dx%d", name, v.Rows, v.Cols, rows, cols)
	case v.Layout != device.Plain && v.Type != device.F32 && v.Type != device.BF16:
		k.failf("%s is packed %s, want f32 or bf16", name, v.Type)
	}
	k.present(name, v)
}

// placeable says whether a weight may be of the type.
func placeable(t device.Type) bool {
	switch t {
	case device.F32, device.F64, device.BF16, device.F16:
		return true
	}
	return t.IsBlock()
}

func (k *checker) present(name string, v device.View) {
	if v.Addr == 0 && v.Len() != 0 {
		k.failf("%s has no address", name)
	}
}

// indices checks that every index is at least lo and below limit.
func (k *checker) indices(name string, index []int32, lo, limit int) {
	if k.err != nil {
		return
	}
	for i, x := range index {
		if int(x) < lo || int(x) >= limit {
			if lo == math.MinInt32 {
				k.failf("%s[%d] is %d, want less than %d", name, i, x, limit)
			} else {
				k.failf("%s[%d] is %d, want %d to %d", name, i, x, lo, limit-1)
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
