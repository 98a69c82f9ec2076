package cuda

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
	k.err = errors.Join(k.err, fmt.Errorf("cuda: "+k.kernel+": "+format, args...))
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
	case v.Layout != device.Plain:
		k.failf("%s is packed", name)
	}
	k.present(name, v)
}

func (k *checker) present(name string, v device.View) {
	if v.Addr == 0 && v.Len() != 0 {
		k.failf("%s has no address", name)
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
