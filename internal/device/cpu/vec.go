package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// unary is the function of a vec_unary attribute.
func unary(a device.Vec) func(x float64) float64 {
	switch a.Op {
	case "neg":
		return func(x float64) float64 { return -x }
	case "scale":
		return func(x float64) float64 { return a.Const * x }
	case "shift":
		return func(x float64) float64 { return x + a.Const }
	case "square":
		return func(x float64) float64 { return x * x }
	case "exp":
		return math.Exp
	case "log":
		return math.Log
	case "softplus":
		return softplus
	case "sigmoid":
		return func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	case "relu":
		return func(x float64) float64 { return max(x, 0) }
	case "step":
		return func(x float64) float64 { return indicator(x > 0) }
	case "reciprocal":
		return func(x float64) float64 { return 1 / x }
	case "clamp":
		return func(x float64) float64 { return min(max(x, a.Lo), a.Hi) }
	case "inside":
		return func(x float64) float64 { return indicator(a.Lo <= x && x <= a.Hi) }
	case "tanh":
		return math.Tanh
	case "sign":
		return func(x float64) float64 { return indicator(x > 0) - indicator(x < 0) }
	}
	return nil
}

// binary is the function of a vec_binary attribute.
func binary(a device.Vec) func(x, y float64) float64 {
	switch a.Op {
	case "add":
		return func(x, y float64) float64 { return x + y }
	case "sub":
		return func(x, y float64) float64 { return x - y }
	case "mul":
		return func(x, y float64) float64 { return x * y }
	case "div":
		return func(x, y float64) float64 { return x / y }
	case "max":
		return func(x, y float64) float64 { return max(x, y) }
	case "min":
		return func(x, y float64) float64 { return min(x, y) }
	case "greater":
		return func(x, y float64) float64 { return indicator(x > y) }
	}
	return nil
}

// softplus is log(1+e^x) without overflow.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func bindVecUnary(kernel string, attr device.Vec) (device.Kernel, error) {
	f := unary(attr)
	if f == nil {
		return nil, fmt.Errorf("cpu: %s: no operation %q", kernel, attr.Op)
	}
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], device.F64, c.In[0].Len())
			k.OutputVector("y", c.Out[0], device.F64, c.In[0].Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		y := device.Slice[float64](c.Out[0])
		for i, x := range device.Slice[float64](c.In[0]) {
			y[i] = f(x)
		}
		return nil
	}, nil
}

func bindVecBinary(kernel string, attr device.Vec) (device.Kernel, error) {
	f := binary(attr)
	if f == nil {
		return nil, fmt.Errorf("cpu: %s: no operation %q", kernel, attr.Op)
	}
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		k.VecBinary(c)
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		y, a, b := device.Slice[float64](c.Out[0]), device.Slice[float64](c.In[0]), device.Slice[float64](c.In[1])
		stride := count(len(b) > 1)
		for i, x := range a {
			y[i] = f(x, b[i*stride])
		}
		return nil
	}, nil
}

// newVecSum is y[1] = sum of x, ascending.
func newVecSum(kernel string) device.Kernel {
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], device.F64, c.In[0].Len())
			k.OutputVector("y", c.Out[0], device.F64, 1)
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		var sum float64
		for _, x := range device.Slice[float64](c.In[0]) {
			sum += x
		}
		device.Slice[float64](c.Out[0])[0] = sum
		return nil
	}
}

// newVecFill is y[P] = x[0].
func newVecFill(kernel string) device.Kernel {
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 2) {
			k.Overwrites(c)
			k.Vector("x", c.In[0], device.F64, 1)
			k.OutputVector("y", c.Out[0], device.F64, c.In[1].Len())
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		x, y := device.Slice[float64](c.In[0])[0], device.Slice[float64](c.Out[0])
		for i := range y {
			y[i] = x
		}
		return nil
	}
}

// newVecConvert is y = x between F32 and F64; the views say which way.
func newVecConvert(kernel string) device.Kernel {
	return func(c *device.Call) error {
		k := contract.Of("cpu", kernel)
		if k.Arity(c, 1, 1) {
			k.Overwrites(c)
			checkWeight(&k, "x", c.In[0], c.In[0].Rows, c.In[0].Cols)
			k.Vector("x", c.In[0], c.In[0].Type, c.In[0].Len())
			k.OutputVector("y", c.Out[0], c.Out[0].Type, c.In[0].Len())
			if t := c.Out[0].Type; t != device.F32 && t != device.F64 {
				k.Failf("y is %s, want f32 or f64", t)
			}
		}
		if k.Err != nil || c.Out[0].Addr == 0 {
			return k.Err
		}
		if c.Out[0].Type == device.F32 {
			widen(device.Slice[float32](c.Out[0]), c.In[0], 0)
		} else {
			widen(device.Slice[float64](c.Out[0]), c.In[0], 0)
		}
		return nil
	}
}
