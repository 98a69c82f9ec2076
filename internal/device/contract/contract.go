// Package contract checks the views of a call against a kernel's contract
// (package device), for every backend alike.
package contract

import (
	"errors"
	"fmt"

	"align/internal/device"
)

// Check gathers what is wrong with the views of one call; a kernel checks
// everything before it touches memory. On the good path it allocates nothing.
type Check struct {
	backend, kernel string
	// Err is all that was found.
	Err error
}

// Of is a check of a call of a backend's kernel.
func Of(backend, kernel string) Check { return Check{backend: backend, kernel: kernel} }

// Failf adds what is wrong.
func (k *Check) Failf(format string, args ...any) {
	k.Err = errors.Join(k.Err, fmt.Errorf(k.backend+": "+k.kernel+": "+format, args...))
}

// Arity checks the number of outputs and inputs; later checks may index them
// only if it returns true.
func (k *Check) Arity(c *device.Call, out, in int) bool {
	if len(c.Out) != out || len(c.In) != in {
		k.Failf("got %d outputs and %d inputs, want %d and %d", len(c.Out), len(c.In), out, in)
		return false
	}
	return true
}

// Overwrites is for kernels whose contract knows no Accumulate.
func (k *Check) Overwrites(c *device.Call) {
	if c.Accumulate {
		k.Failf("cannot accumulate")
	}
}

// Matrix checks type, layout and shape of a view that must be there.
func (k *Check) Matrix(name string, v device.View, t device.Type, rows, cols int) {
	if v.Type != t || v.Layout != device.Plain || v.Rows != rows || v.Cols != cols {
		k.Failf("%s is %s %dx%d (layout %d), want plain %s %dx%d", name, v.Type, v.Rows, v.Cols, v.Layout, t, rows, cols)
	}
	k.Present(name, v)
}

// Output checks a view that is skipped where its address is 0.
func (k *Check) Output(name string, v device.View, t device.Type, rows, cols int) {
	if v.Addr != 0 {
		k.Matrix(name, v, t, rows, cols)
	}
}

// Vector checks a view of n elements, whichever way it lies.
func (k *Check) Vector(name string, v device.View, t device.Type, n int) {
	if v.Type != t || v.Layout != device.Plain || v.Len() != n {
		k.Failf("%s is %s %dx%d (layout %d), want %s of %d elements", name, v.Type, v.Rows, v.Cols, v.Layout, t, n)
	}
	k.Present(name, v)
}

// OutputVector is Vector for a view that is skipped where its address is 0.
func (k *Check) OutputVector(name string, v device.View, t device.Type, n int) {
	if v.Addr != 0 {
		k.Vector(name, v, t, n)
	}
}

// Present checks that a view that is not empty has an address.
func (k *Check) Present(name string, v device.View) {
	if v.Addr == 0 && v.Len() != 0 {
		k.Failf("%s has no address", name)
	}
}

// VecBinary checks a call of vec_binary: a and b of F64, b of one element for
// all or of as many as a.
func (k *Check) VecBinary(c *device.Call) {
	if !k.Arity(c, 1, 2) {
		return
	}
	n, of := c.In[0].Len(), c.In[1].Len()
	if of != 1 {
		of = n
	}
	k.Overwrites(c)
	k.Vector("a", c.In[0], device.F64, n)
	k.Vector("b", c.In[1], device.F64, of)
	k.OutputVector("y", c.Out[0], device.F64, n)
}
