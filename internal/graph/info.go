package graph

import (
	"fmt"

	"align/internal/device"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Node and Nodes are Gorgonia's; other packages name them through this one.
type (
	Node  = gorgonia.Node
	Nodes = gorgonia.Nodes
)

// Symbol says what a row count counts, where it changes from run to run.
type Symbol uint8

// Row counts that a run sets: tokens of the pack, positions with a target,
// sequences and pairs. Fixed ones never change.
const (
	Fixed Symbol = iota
	Tokens
	Targets
	Sequences
	Pairs
	numSymbols
)

// NumSymbols is the number of distinct Symbols.
const NumSymbols = int(numSymbols)

// Dim is a number of rows: at most Max, and in a run what its Symbol is set to.
type Dim struct {
	Max    int
	Symbol Symbol
}

// Info is the type and shape of a node. Cols 0 means a vector of Rows elements.
// Trained marks an input whose gradient is wanted.
type Info struct {
	Type    device.Type
	Rows    Dim
	Cols    int
	Trained bool
}

// Width is the number of columns of the value: 1 for a vector.
func (i Info) Width() int { return max(i.Cols, 1) }

// Bytes is the size at the largest number of rows.
func (i Info) Bytes() int64 {
	return int64(i.Rows.Max) * int64(i.Width()) * int64(i.Type.Size())
}

// String shows the type and shape as errors print it: f32[512,64].
func (i Info) String() string {
	if i.Cols == 0 {
		return fmt.Sprintf("%s[%d]", i.Type, i.Rows.Max)
	}
	return fmt.Sprintf("%s[%d,%d]", i.Type, i.Rows.Max, i.Cols)
}

func (i Info) shape() tensor.Shape {
	if i.Cols == 0 {
		return tensor.Shape{i.Rows.Max}
	}
	return tensor.Shape{i.Rows.Max, i.Cols}
}

func (i Info) dims() int {
	if i.Cols == 0 {
		return 1
	}
	return 2
}

// dtype is the nominal element type in the graph: a weight in any stored type
// is a value of the activation type to the formulae.
func (i Info) dtype() tensor.Dtype {
	switch i.Type {
	case device.F64:
		return tensor.Float64
	case device.I32:
		return tensor.Int32
	}
	return tensor.Float32
}

func (i Info) hmType() gorgonia.TensorType {
	return gorgonia.TensorType{Dims: i.dims(), Of: i.dtype()}
}

// Matrix is the info of rows x cols elements.
func Matrix(t device.Type, rows Dim, cols int) Info { return Info{Type: t, Rows: rows, Cols: cols} }

// Vector is the info of n elements.
func Vector(t device.Type, n Dim) Info { return Info{Type: t, Rows: n} }

// Size is a fixed number of rows.
func Size(n int) Dim { return Dim{Max: n} }
