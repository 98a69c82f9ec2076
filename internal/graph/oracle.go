package graph

import (
	"fmt"
	"runtime"

	"align/internal/device"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Do runs the op's kernel on host tensors. It serves Gorgonia's own machine,
// which is the oracle of the tests and never the machine of a run.
func (o *Op) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	if o.Runner != nil || o.builder.oracle == nil {
		return nil, fmt.Errorf("graph: %s does not run under Gorgonia's own machine", o.name())
	}
	kernel, err := o.builder.oracle.Bind(o.Kernel, o.Attr)
	if err != nil {
		return nil, err
	}
	call, parts, err := o.oracleCall(in)
	if err != nil {
		return nil, err
	}
	err = kernel(call)
	runtime.KeepAlive(in)
	runtime.KeepAlive(parts)
	if len(parts) == 1 {
		return parts[0], err
	}
	return &Tuple{Dense: parts[0], Parts: parts}, err
}

func (o *Op) oracleCall(in []gorgonia.Value) (*device.Call, []*tensor.Dense, error) {
	call := &device.Call{}
	for _, i := range o.kernelInputs() {
		d, ok := in[i].(*tensor.Dense)
		if !ok {
			return nil, nil, fmt.Errorf("graph: %s: input %d is a %T, want a tensor", o.name(), i, in[i])
		}
		call.In = append(call.In, DenseView(d))
	}
	parts := make([]*tensor.Dense, len(o.Outs))
	for i, out := range o.Outs {
		parts[i] = tensor.New(tensor.Of(out.dtype()), tensor.WithShape(out.shape()...))
		call.Out = append(call.Out, DenseView(parts[i]))
	}
	return call, parts, nil
}

// DenseView is the one adapter from a host tensor to a View; the tensor must
// outlive the view.
func DenseView(d *tensor.Dense) device.View {
	shape := d.Shape()
	v := device.View{Addr: d.Uintptr(), Rows: shape[0], Cols: 1, Type: device.F32}
	if len(shape) == 2 {
		v.Cols = shape[1]
	}
	switch d.Dtype() {
	case tensor.Float64:
		v.Type = device.F64
	case tensor.Int32:
		v.Type = device.I32
	}
	return v
}
