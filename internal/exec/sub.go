package exec

import (
	"errors"
	"fmt"

	"align/internal/device"
	"align/internal/graph"
)

// Body is the inner graph of a Sub: from X to Y, with all other inputs in
// Params, in the order in which Apply takes them.
type Body struct {
	X, Y   *graph.Node
	Params graph.Nodes
}

// Sub is an inner graph that stands as one op in outer graphs: a decoder layer.
// It is differentiated once, by Gorgonia, and compiled three times: forward
// with the values to save, forward alone, and backward, which computes again
// what was not saved.
type Sub struct {
	body    Body
	builder *graph.Builder
	saved   graph.Nodes
	forward runner
	back    runner
	// tile is the rows that are run at a time; 0: all.
	tile int
}

// NewSub builds, differentiates and compiles the inner graph. Inputs that are
// marked Trained get gradients.
func NewSub(o graph.Options, policy SavePolicy, build func(*graph.Builder) Body) (*Sub, error) {
	b := graph.New(o)
	s := &Sub{builder: b, body: build(b)}
	if err := b.Err(); err != nil {
		return nil, err
	}
	return s, s.compile(policy)
}

func (s *Sub) compile(policy SavePolicy) (err error) {
	wrt := s.trained()
	var grads, seeds graph.Nodes
	if len(wrt) > 0 {
		grads, seeds = s.builder.Gradients(graph.Nodes{s.body.Y}, wrt)
	}
	s.builder.HoldRounded(s.body.Y)
	if err := s.builder.Err(); err != nil {
		return err
	}
	if len(wrt) > 0 {
		s.saved = saved(s.builder, policy, s.body.Y, grads)
	}
	in := append(graph.Nodes{s.body.X}, s.body.Params...)
	if s.forward, err = s.runner(in, append(graph.Nodes{s.body.Y}, s.saved...), nil); err != nil {
		return err
	}
	if len(wrt) == 0 {
		return nil
	}
	in = append(append(in, s.saved...), seeds...)
	s.back, err = s.runner(in, grads, s.saved)
	return err
}

// trained lists the inputs that get a gradient: X first where it does.
func (s *Sub) trained() graph.Nodes {
	var wrt graph.Nodes
	for _, n := range append(graph.Nodes{s.body.X}, s.body.Params...) {
		if s.builder.Info(n).Trained {
			wrt = append(wrt, n)
		}
	}
	return wrt
}

// runner compiles the program from the inputs to the outputs. Backward, the
// gradients of parameters add to their buffers; everything else overwrites. What the
// forward pass saved is cut: nobody reads it afterwards.
func (s *Sub) runner(in, out, cut graph.Nodes) (runner, error) {
	r := runner{in: in, out: out, tile: s.tile, tileOf: s.builder.Info(s.body.X).Rows.Symbol}
	full := Spec{Builder: s.builder, Cut: cut, Spent: cut, Tile: r.tile, TileOf: r.tileOf, Late: out[0] != s.body.Y, External: map[*graph.Node]Access{}}
	for i, n := range out {
		full.External[n] = Overwrite
		if s.adds(out, i) {
			full.External[n] = Accumulate
		}
	}
	var err error
	if r.full, err = Compile(full); err != nil {
		return r, err
	}
	lean := Spec{Builder: s.builder, Cut: cut, Spent: cut, Tile: r.tile, TileOf: r.tileOf, Late: full.Late, External: map[*graph.Node]Access{out[0]: full.External[out[0]]}}
	r.lean, err = Compile(lean)
	return r, err
}

// adds says whether output i of the program adds to its buffer: the gradients
// of parameters do, so that micro-batches accumulate.
func (s *Sub) adds(out graph.Nodes, i int) bool {
	if out[0] == s.body.Y {
		return false
	}
	return i > 0 || !s.builder.Info(s.body.X).Trained
}

// Apply adds the inner graph to an outer one as a single op. The inputs must be
// of the shapes and the need for gradients that the Sub was built for.
func (s *Sub) Apply(b *graph.Builder, x *graph.Node, params ...*graph.Node) (*graph.Node, error) {
	in := append(graph.Nodes{x}, params...)
	if err := s.check(b, in); err != nil {
		return nil, err
	}
	op := &graph.Op{Runner: &s.forward, Diff: make([]bool, len(in)), Outs: s.infos(append(graph.Nodes{s.body.Y}, s.saved...))}
	for i, n := range s.inputs() {
		op.Diff[i] = s.builder.Info(n).Trained
	}
	op.Pull = func(in graph.Nodes, out, dy *graph.Node) graph.Nodes { return s.pull(b, op, in, out, dy) }
	y := b.Part(b.Apply(op, in...), 0)
	return y, b.Err()
}

func (s *Sub) inputs() graph.Nodes { return append(graph.Nodes{s.body.X}, s.body.Params...) }

// pull adds the backward program and deals its outputs to the inputs.
func (s *Sub) pull(b *graph.Builder, op *graph.Op, in graph.Nodes, out, dy *graph.Node) graph.Nodes {
	args := append(graph.Nodes{}, in...)
	for i := range s.saved {
		args = append(args, b.Part(out, i+1))
	}
	wrt := s.trained()
	back := &graph.Op{Runner: &s.back, Outs: s.infos(wrt), Adds: make([]bool, len(wrt))}
	for i := range wrt {
		back.Adds[i] = s.adds(s.back.out, i)
	}
	tuple := b.Apply(back, append(args, dy)...)
	grads := make(graph.Nodes, len(in))
	next := 0
	for i := range in {
		if op.Diff[i] {
			grads[i] = b.Part(tuple, next)
			next++
		}
	}
	return grads
}

// infos are the infos of the nodes as computed values.
func (s *Sub) infos(nodes graph.Nodes) []graph.Info {
	infos := make([]graph.Info, len(nodes))
	for i, n := range nodes {
		infos[i] = s.builder.Info(n)
		infos[i].Trained = false
	}
	return infos
}

func (s *Sub) check(b *graph.Builder, in graph.Nodes) error {
	want := s.inputs()
	if len(in) != len(want) {
		return fmt.Errorf("exec: layer takes %d inputs, got %d", len(want), len(in))
	}
	for i, n := range in {
		inner, outer := s.builder.Info(want[i]), b.Info(n)
		if inner.Rows != outer.Rows || inner.Cols != outer.Cols {
			return fmt.Errorf("exec: layer input %d is %v, got %v", i, inner, outer)
		}
		if inner.Trained != b.NeedsGrad(n) {
			return fmt.Errorf("exec: layer input %d: gradient wanted=%v, the layer was built for %v", i, b.NeedsGrad(n), inner.Trained)
		}
	}
	return nil
}

// runner is one compiled direction of a Sub. The lean plan computes the first
// output alone; it runs where the caller wants no other.
type runner struct {
	in, out    graph.Nodes
	full, lean *Plan
	tile       int // rows at a time; 0: all
	tileOf     graph.Symbol
}

var _ graph.Runner = (*runner)(nil)

// Workspace is the arena of the plan that runs.
func (r *runner) Workspace(all bool) int64 {
	if all {
		return r.full.ArenaBytes()
	}
	return r.lean.ArenaBytes()
}

// Bind puts both plans on the device, in the same memory: one that does not fit is
// not asked for.
func (r *runner) Bind(b device.Backend, workspace device.Memory) (graph.Bound, error) {
	sub := &boundSub{}
	for _, p := range []struct {
		plan *Plan
		port *port
	}{{r.full, &sub.full}, {r.lean, &sub.lean}} {
		if p.plan.ArenaBytes() > workspace.Bytes {
			continue
		}
		program, err := p.plan.Bind(b, workspace)
		if err != nil {
			return nil, err
		}
		*p.port = r.ports(program)
	}
	if r.tile > 0 {
		return &boundTiles{boundSub: sub, rows: r.tile, of: r.tileOf}, nil
	}
	return sub, nil
}

// port is a program with the slots of its inputs and outputs in call order; -1
// for one that it does not use.
type port struct {
	program *Program
	in, out []int
}

func (r *runner) ports(p *Program) port {
	return port{program: p, in: slotsOf(p, r.in), out: slotsOf(p, r.out)}
}

func slotsOf(p *Program, nodes graph.Nodes) []int {
	ids := make([]int, len(nodes))
	for i, n := range nodes {
		ids[i] = -1
		if id, ok := p.Slot(n); ok {
			ids[i] = int(id)
		}
	}
	return ids
}

type boundSub struct{ full, lean port }

var errNotBound = errors.New("exec: a program was bound in memory for other outputs")

// port is the program that makes the outputs that the call wants.
func (b *boundSub) port(c *device.Call) (*port, error) {
	p := &b.full
	if len(c.Out) > 1 && c.Out[1].Addr == 0 {
		p = &b.lean
	}
	if p.program == nil {
		return nil, errNotBound
	}
	return p, nil
}

// Run hands the call's views to the inner program and runs it.
func (b *boundSub) Run(c *device.Call) error {
	p, err := b.port(c)
	if err != nil {
		return err
	}
	for i, id := range p.in {
		if id >= 0 {
			p.program.views[id] = c.In[i]
		}
	}
	for i, id := range p.out {
		if id >= 0 {
			p.program.views[id] = c.Out[i]
		}
	}
	return p.program.Run()
}

// Resize passes a row count on.
func (b *boundSub) Resize(s graph.Symbol, rows int) {
	for _, p := range []*Program{b.full.program, b.lean.program} {
		if p != nil {
			p.Resize(s, rows)
		}
	}
}
