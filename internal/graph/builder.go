package graph

import (
	"errors"
	"fmt"

	"align/internal/device"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func init() {
	// Gorgonia's machine puts a tensor that two nodes share into its pool
	// twice; without the pool nothing of ours can be handed out again.
	tensor.DontUsePool()
}

// Builder adds nodes to one expression graph. After the first error every
// method returns nil; Err tells it. A Builder serves one goroutine.
type Builder struct {
	activations device.Type
	rounded     device.Type
	roundedCols int
	slopes      bool
	joins       func(kernel string) bool
	oracle      device.Backend
	graph       *gorgonia.ExprGraph
	info        map[*Node]Info
	needs       map[*Node]bool
	names       map[string]bool
	parts       map[partKey]*Node
	ranges      map[*Node]Range
	inputs      Nodes
	nextID      uint64
	err         error
	derived     bool
}

// partKey finds the one node of a tuple's output.
type partKey struct {
	tuple *Node
	index int
}

// Options of a graph: the type of activations (F32, BF16, or F64 for proofs) and,
// only for runs under Gorgonia's own machine, a host backend.
type Options struct {
	Activations device.Type
	// Rounded is the type that the device's products round to, where what they
	// alone read may be held in it (device.Rounder); 0: none.
	Rounded device.Type
	// RoundedCols is what the width of such a value is a multiple of.
	RoundedCols int
	// Slopes says that the device is a Sloper which does.
	Slopes bool
	// Joins, if not nil, says which steps the device joins (device.Joiner).
	Joins  func(kernel string) bool
	Oracle device.Backend
}

// New starts an empty graph.
func New(o Options) *Builder {
	return &Builder{
		activations: o.Activations, rounded: o.Rounded, roundedCols: max(1, o.RoundedCols), slopes: o.Slopes, joins: o.Joins, oracle: o.Oracle, graph: gorgonia.NewGraph(),
		info: map[*Node]Info{}, needs: map[*Node]bool{}, names: map[string]bool{}, parts: map[partKey]*Node{}, ranges: map[*Node]Range{},
	}
}

// Graph is the expression graph under construction.
func (b *Builder) Graph() *gorgonia.ExprGraph { return b.graph }

// Activations is the type of the activations.
func (b *Builder) Activations() device.Type { return b.activations }

// Rounded is the type of values that products alone read: see Options.
func (b *Builder) Rounded() device.Type { return b.rounded }

// RoundedCols is what their width is a multiple of.
func (b *Builder) RoundedCols() int { return b.roundedCols }

// Joins says whether programs of the graph may have a kernel that joins steps: see Options.
func (b *Builder) Joins(kernel string) bool { return b.joins != nil && b.joins(kernel) }

// wide is the type of statistics, angles, trained values and their gradients.
func (b *Builder) wide() device.Type { return b.activations.Wide() }

// Err is the first error of the construction.
func (b *Builder) Err() error { return b.err }

// Inputs lists the inputs in the order of their creation.
func (b *Builder) Inputs() Nodes { return b.inputs }

func (b *Builder) fail(format string, args ...any) *Node {
	if b.err == nil {
		b.err = fmt.Errorf("graph: "+format, args...)
	}
	return nil
}

func (b *Builder) id() uint64 {
	b.nextID++
	return b.nextID
}

// Input adds a leaf whose value the caller supplies. Names are unique: Gorgonia
// takes two inputs of one name for the same node.
func (b *Builder) Input(name string, info Info) *Node {
	if b.err != nil {
		return nil
	}
	if name == "" || b.names[name] {
		return b.fail("input %q: name is empty or taken", name)
	}
	if info.Rows.Max <= 0 {
		return b.fail("input %q: %v has no rows", name, info)
	}
	b.names[name] = true
	n := gorgonia.NewTensor(b.graph, info.dtype(), info.dims(), gorgonia.WithShape(info.shape()...), gorgonia.WithName(name))
	b.info[n], b.needs[n] = info, info.Trained
	b.inputs = append(b.inputs, n)
	return n
}

// Apply adds the op on the given inputs and returns its node (a tuple where
// the op has several outputs).
func (b *Builder) Apply(op *Op, in ...*Node) *Node {
	if b.err != nil {
		return nil
	}
	op.id, op.builder = b.id(), b
	op.children = make([]Info, len(in))
	for i, n := range in {
		if n == nil {
			return b.fail("%s: input %d is missing", op.name(), i)
		}
		op.children[i] = b.Info(n)
	}
	needs := b.restrictDiff(op, in)
	n, err := b.apply(op, in)
	if err != nil {
		return b.fail("%s: %v", op.name(), err)
	}
	b.info[n], b.needs[n] = op.Outs[0], needs
	return n
}

// apply turns a panic of Gorgonia's node construction into an error.
func (b *Builder) apply(op gorgonia.Op, in Nodes) (n *Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return gorgonia.ApplyOp(op, in...)
}

// restrictDiff clears the gradients of inputs that nothing trained stands
// behind, so that the backward pass ends at the lowest adapter.
func (b *Builder) restrictDiff(op *Op, in Nodes) (needs bool) {
	diff := make([]bool, len(in))
	for i := range in {
		diff[i] = i < len(op.Diff) && op.Diff[i] && b.needs[in[i]]
		needs = needs || diff[i]
	}
	op.Diff = diff
	return needs
}

// Part is output i of a tuple node: the same node whenever it is asked for.
func (b *Builder) Part(tuple *Node, i int) *Node {
	if b.err != nil {
		return nil
	}
	if n := b.parts[partKey{tuple, i}]; n != nil {
		return n
	}
	op, ok := tuple.Op().(*Op)
	if !ok || i >= len(op.Outs) {
		return b.fail("part %d of %v: no such output", i, tuple)
	}
	n, err := b.apply(&Part{Index: i, source: op, id: b.id()}, Nodes{tuple})
	if err != nil {
		return b.fail("part %d of %s: %v", i, op.name(), err)
	}
	b.info[n], b.needs[n] = op.Outs[i], b.needs[tuple]
	b.parts[partKey{tuple, i}] = n
	return n
}

// Parts are all outputs of a tuple node.
func (b *Builder) Parts(tuple *Node) Nodes {
	if b.err != nil {
		return make(Nodes, 16)
	}
	op := tuple.Op().(*Op)
	parts := make(Nodes, len(op.Outs))
	for i := range parts {
		parts[i] = b.Part(tuple, i)
	}
	return parts
}

// Info is the type and shape of a node of this graph. The nodes that Gorgonia
// itself makes are sums of gradients and have their first operand's.
func (b *Builder) Info(n *Node) Info {
	if n == nil {
		return Info{}
	}
	if info, ok := b.info[n]; ok {
		return info
	}
	children := b.Children(n)
	if len(children) == 0 {
		return Info{}
	}
	info := b.Info(children[0])
	info.Trained = false
	b.info[n] = info
	return info
}

// NeedsGrad says whether anything trained stands behind the node.
func (b *Builder) NeedsGrad(n *Node) bool { return b.needs[n] }

// Children are the inputs of a node in order.
func (b *Builder) Children(n *Node) Nodes {
	it := b.graph.From(n.ID())
	children := make(Nodes, 0, max(it.Len(), 0))
	for it.Next() {
		children = append(children, it.Node().(*Node))
	}
	return children
}

// Gradients differentiates the outputs by the wrt nodes with one pass of
// gorgonia.Backpropagate and returns the gradient nodes and, for each output,
// the seed input that holds the gradient flowing into it. A graph can be
// differentiated once: a second pass would return the first one's results.
func (b *Builder) Gradients(outs, wrt Nodes) (grads, seeds Nodes) {
	if b.err != nil {
		return nil, nil
	}
	if b.derived {
		b.fail("the graph is differentiated already")
		return nil, nil
	}
	b.derived = true
	for i, out := range outs {
		info := b.Info(out)
		info.Trained = false
		seeds = append(seeds, b.Input(fmt.Sprintf("seed.%d", i), info))
	}
	if b.err != nil {
		return nil, nil
	}
	grads, err := b.backpropagate(outs, seeds, wrt)
	if err != nil && b.err == nil {
		b.err = err
	}
	return grads, seeds
}

func (b *Builder) backpropagate(outs, seeds, wrt Nodes) (grads Nodes, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(b.err, fmt.Errorf("graph: gradient: %v", r))
		}
	}()
	if grads, err = gorgonia.Backpropagate(outs, seeds, wrt); err != nil {
		return nil, fmt.Errorf("graph: gradient: %w", err)
	}
	return grads, nil
}
