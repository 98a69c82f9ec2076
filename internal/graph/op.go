package graph

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"

	"align/internal/device"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Pullback turns the gradient of an op's output into the gradients of its
// inputs, one per input; entries of inputs without a gradient are ignored.
type Pullback func(in Nodes, out, grad *Node) Nodes

// Op is the one gorgonia.SDOp of this project. It names a kernel of package
// device, or has a Runner. With several Outs its value is a Tuple, which only
// Part reads.
type Op struct {
	Kernel string
	Attr   any
	Outs   []Info
	// Args maps the kernel's inputs to the node's children where they differ
	// (one child may serve as two inputs); nil means in order.
	Args []int
	// Diff says which children get a gradient; Apply clears those that do not
	// depend on anything trained.
	Diff []bool
	// InPlace[k] is the child that output k may overwrite, or -1; nil: none.
	InPlace []int
	// Accumulates: the kernel can add to its first output instead of overwriting it.
	Accumulates bool
	// Adds marks outputs to which a Runner always adds.
	Adds []bool
	Pull Pullback
	// Runner is set instead of Kernel for an op that is a program of its own.
	Runner Runner

	id       uint64
	children []Info
	builder  *Builder
}

// Runner is a program that stands as one op in a larger graph.
type Runner interface {
	// Workspace is the memory that Bind wants, in bytes: for runs that want all
	// outputs, or the first one alone.
	Workspace(all bool) int64
	// Bind prepares the program on a device; the workspace is shared with other
	// runners and holds nothing between calls.
	Bind(b device.Backend, workspace device.Memory) (Bound, error)
}

// Bound is a Runner on a device.
type Bound interface {
	Run(*device.Call) error
	Resize(s Symbol, rows int)
}

var _ gorgonia.SDOp = (*Op)(nil)

// Arity is the number of inputs.
func (o *Op) Arity() int { return len(o.children) }

// Type is a fresh function type of exactly these inputs (Gorgonia returns it
// to a pool, so it must not be shared).
func (o *Op) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.children)+1)
	for _, c := range o.children {
		types = append(types, c.hmType())
	}
	return hm.NewFnType(append(types, o.Outs[0].hmType())...)
}

// InferShape is the shape of the first output.
func (o *Op) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return o.Outs[0].shape(), nil }

// ReturnsPtr, CallsExtern and OverwritesInput keep Gorgonia's own machine from
// planning around this op: it is only the oracle of the tests.
func (o *Op) ReturnsPtr() bool { return false }

// CallsExtern is false: see ReturnsPtr.
func (o *Op) CallsExtern() bool { return false }

// OverwritesInput is -1: see ReturnsPtr.
func (o *Op) OverwritesInput() int { return -1 }

// WriteHash writes the identity of this instance: Gorgonia merges nodes whose
// hashes are equal, and two layers' equal ops must stay two nodes.
func (o *Op) WriteHash(h hash.Hash) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], o.id)
	h.Write([]byte("align.op"))
	h.Write(b[:])
}

// Hashcode is the 32-bit form of WriteHash.
func (o *Op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// String names the op in Gorgonia's messages.
func (o *Op) String() string { return fmt.Sprintf("%s#%d", o.name(), o.id) }

func (o *Op) name() string {
	if o.Runner != nil {
		return "program"
	}
	return o.Kernel
}

// DiffWRT says which inputs get a gradient.
func (o *Op) DiffWRT(int) []bool { return o.Diff }

// SymDiff is Gorgonia's way to the pullback.
func (o *Op) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.Pull == nil {
		return nil, fmt.Errorf("graph: %s has no gradient", o.name())
	}
	grads := o.Pull(in, out, grad)
	if err := o.builder.Err(); err != nil {
		return nil, err
	}
	return grads, o.checkGrads(in, grads)
}

// checkGrads holds each gradient to its input's shape: Backpropagate does not.
func (o *Op) checkGrads(in, grads Nodes) error {
	if len(grads) != len(in) {
		return fmt.Errorf("graph: %s: %d gradients for %d inputs", o.name(), len(grads), len(in))
	}
	for i, g := range grads {
		if !o.Diff[i] {
			grads[i] = nil
			continue
		}
		if g == nil || !g.Shape().Eq(in[i].Shape()) {
			return fmt.Errorf("graph: %s: gradient %d does not have its input's shape %v", o.name(), i, in[i].Shape())
		}
	}
	return nil
}

// kernelInputs lists the children in the kernel's order.
func (o *Op) kernelInputs() []int {
	if o.Args != nil {
		return o.Args
	}
	order := make([]int, len(o.children))
	for i := range order {
		order[i] = i
	}
	return order
}

// KernelInputs lists, for each input of the kernel, which child of the node it is.
func (o *Op) KernelInputs() []int { return o.kernelInputs() }
