package graph

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Part is the op that reads one output of an op with several.
type Part struct {
	Index  int
	source *Op
	id     uint64
}

var _ gorgonia.SDOp = (*Part)(nil)

// Arity is 1: the tuple.
func (p *Part) Arity() int { return 1 }

// Type maps the tuple's nominal type to the part's.
func (p *Part) Type() hm.Type {
	return hm.NewFnType(p.source.Outs[0].hmType(), p.source.Outs[p.Index].hmType())
}

// InferShape is the part's shape.
func (p *Part) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return p.source.Outs[p.Index].shape(), nil
}

// Do hands out the part's value under Gorgonia's own machine.
func (p *Part) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	t, ok := in[0].(*Tuple)
	if !ok {
		return nil, fmt.Errorf("graph: part %d of a %T, want a tuple", p.Index, in[0])
	}
	return t.Parts[p.Index], nil
}

// ReturnsPtr is false: see Op.ReturnsPtr.
func (p *Part) ReturnsPtr() bool { return false }

// CallsExtern is false: see Op.ReturnsPtr.
func (p *Part) CallsExtern() bool { return false }

// OverwritesInput is -1: see Op.ReturnsPtr.
func (p *Part) OverwritesInput() int { return -1 }

// WriteHash writes the identity of this instance.
func (p *Part) WriteHash(h hash.Hash) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], p.id)
	h.Write([]byte("align.part"))
	h.Write(b[:])
}

// Hashcode is the 32-bit form of WriteHash.
func (p *Part) Hashcode() uint32 {
	h := fnv.New32a()
	p.WriteHash(h)
	return h.Sum32()
}

// String names the part in Gorgonia's messages.
func (p *Part) String() string { return fmt.Sprintf("%s.%d#%d", p.source.name(), p.Index, p.id) }

// DiffWRT passes the gradient through.
func (p *Part) DiffWRT(int) []bool { return []bool{true} }

// SymDiff hands the part's gradient to the tuple: only one part of an op may
// have one, since Gorgonia would add gradients of different parts.
func (p *Part) SymDiff(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	return gorgonia.Nodes{grad}, nil
}

// Tuple is the value of an op with several outputs under Gorgonia's own
// machine. It embeds the first part, whose type and shape it shows.
type Tuple struct {
	*tensor.Dense
	Parts []*tensor.Dense
}
