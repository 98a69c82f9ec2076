package exec

import (
	"fmt"
	"slices"

	"align/internal/device"
	"align/internal/graph"

	"gorgonia.org/gorgonia"
)

// Access is how an output lands in a buffer of the caller.
type Access uint8

// Overwrite replaces what the buffer holds; Accumulate adds to it.
const (
	Overwrite Access = iota + 1
	Accumulate
)

// Spec says what to compile of a graph.
type Spec struct {
	Builder *graph.Builder
	// Outputs are nodes whose values stay readable after a run.
	Outputs graph.Nodes
	// External outputs land in buffers that the caller sets before a run.
	External map[*graph.Node]Access
	// Cut nodes are taken as inputs instead of being computed: saved values.
	Cut graph.Nodes
	// Spent are inputs and cut nodes that nobody reads after the run: values may be
	// laid over them.
	Spent graph.Nodes
	// Tile, if not 0, is the most rows of a run, of those that TileOf counts,
	// where that is less than the graph allows.
	Tile   int
	TileOf graph.Symbol
	// Late runs steps as late as they can be, where that takes less memory: for
	// programs that compute forward values again.
	Late bool
}

// slot is one value of a program: where its memory comes from and how it is
// shaped.
type slot struct {
	info graph.Info
	// root is the slot whose memory this one shares (itself, mostly).
	root     int
	offset   int64
	external bool
	// spent is of an input that may be overwritten once it is read.
	spent bool
}

// step is one kernel run.
type step struct {
	kernel     string
	attr       any
	runner     graph.Runner
	in, out    []int // slots; -1 for an output that nobody reads
	accumulate bool
	// base is the value that an accumulating step adds to, in whose memory its
	// output lies; -1: none, or the caller's own buffer.
	base int
	name string
}

// Plan is a compiled graph without memory.
type Plan struct {
	builder   *graph.Builder
	slots     []slot
	steps     []step
	slotOf    map[*graph.Node]int
	parts     map[*graph.Node][]int // slots of a tuple's outputs
	arena     int64
	workspace int64
	runners   []graph.Runner
}

// ArenaBytes is the memory that Bind needs, workspace of inner programs included.
func (p *Plan) ArenaBytes() int64 { return p.arena }

// Steps is the number of kernels of one run.
func (p *Plan) Steps() int { return len(p.steps) }

// Kernels are the kernels of the plan and of its inner programs, each program
// once, at the largest sizes.
func (p *Plan) Kernels() []device.Step {
	var list []device.Step
	for _, s := range p.steps {
		if s.runner == nil {
			list = append(list, device.Step{Kernel: s.kernel, Attr: s.attr, Call: device.Call{Accumulate: s.accumulate, In: p.shapes(s.in), Out: p.shapes(s.out)}})
		}
	}
	for _, r := range p.runners {
		if r, is := r.(*runner); is {
			list = append(list, r.full.Kernels()...)
		}
	}
	return list
}

// shapes are views of the slots' sizes; that of a value which nobody wants is
// empty.
func (p *Plan) shapes(slots []int) []device.View {
	views := make([]device.View, len(slots))
	for i, id := range slots {
		if id >= 0 {
			info := p.slots[id].info
			views[i] = device.View{Addr: 1, Rows: info.Rows.Max, Cols: info.Width(), Type: info.Type}
		}
	}
	return views
}

// Compile orders what the spec reaches, drops the rest, and plans the memory.
// It reads the graph and must not run at the same time as another reader of it.
func Compile(spec Spec) (*Plan, error) {
	if err := spec.Builder.Err(); err != nil {
		return nil, err
	}
	c := &compiler{
		spec: spec, builder: spec.Builder, cut: map[*graph.Node]bool{},
		plan: &Plan{builder: spec.Builder, slotOf: map[*graph.Node]int{}, parts: map[*graph.Node][]int{}},
	}
	for _, n := range spec.Cut {
		c.cut[n] = true
	}
	order := c.reach()
	c.wanted(order)
	for _, n := range order {
		if err := c.lower(n); err != nil {
			return nil, err
		}
	}
	c.plan.steps = c.plan.again()
	c.plan.steps = c.plan.together()
	if c.builder.Joins() {
		c.plan.steps = c.plan.joined(c.keep())
	}
	if spec.Late {
		return c.plan, c.plan.layoutLate(c.keep())
	}
	return c.plan, c.plan.layout(c.keep())
}

type compiler struct {
	spec    Spec
	builder *graph.Builder
	plan    *Plan
	cut     map[*graph.Node]bool
	read    map[*graph.Node]map[int]bool // parts of a tuple that are read
	readers map[*graph.Node]int          // how many nodes, and the caller, read a node
}

// reach lists the nodes behind the outputs in the order of their creation,
// which is topological and the same in every build.
func (c *compiler) reach() graph.Nodes {
	seen := map[*graph.Node]bool{}
	var stack, order graph.Nodes
	push := func(n *graph.Node) {
		if !seen[n] {
			seen[n] = true
			stack = append(stack, n)
		}
	}
	for _, n := range c.spec.Outputs {
		push(n)
	}
	for n := range c.spec.External {
		push(n)
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		order = append(order, n)
		if c.cut[n] {
			continue
		}
		for _, child := range c.builder.Children(n) {
			push(child)
		}
	}
	slices.SortFunc(order, func(a, b *graph.Node) int { return int(a.ID() - b.ID()) })
	return order
}

// wanted notes which parts of each tuple are read at all, and how often every
// node is.
func (c *compiler) wanted(order graph.Nodes) {
	c.read, c.readers = map[*graph.Node]map[int]bool{}, map[*graph.Node]int{}
	for _, n := range c.spec.Outputs {
		c.readers[n]++
	}
	for n := range c.spec.External {
		c.readers[n]++
	}
	for _, n := range order {
		if !c.cut[n] {
			for _, child := range c.builder.Children(n) {
				c.readers[child]++
			}
		}
		part, ok := n.Op().(*graph.Part)
		if !ok || c.cut[n] {
			continue
		}
		tuple := c.builder.Children(n)[0]
		if c.read[tuple] == nil {
			c.read[tuple] = map[int]bool{}
		}
		c.read[tuple][part.Index] = true
	}
}

func (c *compiler) newSlot(info graph.Info, external bool) int {
	id := len(c.plan.slots)
	if c.spec.Tile > 0 && info.Rows.Symbol == c.spec.TileOf {
		info.Rows.Max = min(info.Rows.Max, c.spec.Tile)
	}
	c.plan.slots = append(c.plan.slots, slot{info: info, root: id, external: external})
	return id
}

// lower turns a node into a slot and, where it computes something, a step.
func (c *compiler) lower(n *graph.Node) error {
	if n.Op() == nil || c.cut[n] {
		id := c.newSlot(c.builder.Info(n), true)
		c.plan.slots[id].spent = slices.Contains(c.spec.Spent, n)
		c.plan.slotOf[n] = id
		return nil
	}
	switch op := n.Op().(type) {
	case *graph.Part:
		return c.lowerPart(n, op)
	case *graph.Op:
		return c.lowerOp(n, op)
	}
	if isAdd(n.Op()) {
		return c.lowerAdd(n)
	}
	return fmt.Errorf("exec: %v: not an op of this project", n.Op())
}

func (c *compiler) lowerPart(n *graph.Node, part *graph.Part) error {
	tuple := c.builder.Children(n)[0]
	id := c.plan.parts[tuple][part.Index]
	c.plan.slotOf[n] = id
	access, external := c.spec.External[n]
	if !external {
		return nil
	}
	op := tuple.Op().(*graph.Op)
	accumulates := op.Accumulates && part.Index == 0
	if access == Accumulate && !accumulates && !adds(op, part.Index) {
		return c.addInto(n, id)
	}
	c.plan.slots[id].external = true
	if access == Accumulate && accumulates {
		c.plan.steps[c.plan.writer(id)].accumulate = true
		return nil
	}
	if access == Accumulate {
		c.dropZero(id)
	}
	return nil
}

// dropZero removes the clearing of an output that turned out to be the
// caller's own accumulating buffer.
func (c *compiler) dropZero(id int) {
	c.plan.steps = slices.DeleteFunc(c.plan.steps, func(z step) bool { return z.kernel == "zero" && z.out[0] == id })
}

func adds(op *graph.Op, i int) bool { return i < len(op.Adds) && op.Adds[i] }

func (c *compiler) lowerOp(n *graph.Node, op *graph.Op) error {
	children := c.builder.Children(n)
	s := step{kernel: op.Kernel, attr: op.Attr, runner: op.Runner, name: op.String(), base: -1}
	for _, i := range op.KernelInputs() {
		s.in = append(s.in, c.plan.slotOf[children[i]])
	}
	access, external := c.spec.External[n]
	if len(op.Outs) > 1 && external {
		return fmt.Errorf("exec: %s: a tuple cannot be an output, its parts can", s.name)
	}
	direct := external && (access == Overwrite || op.Accumulates)
	for i, info := range op.Outs {
		if len(op.Outs) > 1 && !c.read[n][i] {
			s.out = append(s.out, -1)
			continue
		}
		id := c.newSlot(info, direct)
		s.out = append(s.out, id)
		c.share(&s, op, i, id)
		if adds(op, i) {
			c.plan.steps = append(c.plan.steps, step{kernel: "zero", out: []int{id}, name: "zero", base: -1})
		}
	}
	s.accumulate = direct && access == Accumulate
	c.plan.steps = append(c.plan.steps, s)
	if op.Runner != nil && !slices.Contains(c.plan.runners, op.Runner) {
		c.plan.runners = append(c.plan.runners, op.Runner)
	}
	if op.Runner != nil {
		c.plan.workspace = max(c.plan.workspace, align(op.Runner.Workspace(len(op.Outs) == 1 || c.read[n][1])))
	}
	c.plan.parts[n], c.plan.slotOf[n] = s.out, s.out[0]
	if external && !direct {
		return c.addInto(n, s.out[0])
	}
	return nil
}

// share marks output i to be laid over the input that its kernel may overwrite;
// layout decides whether that input is free by then.
func (c *compiler) share(s *step, op *graph.Op, i, id int) {
	if i >= len(op.InPlace) || op.InPlace[i] < 0 {
		return
	}
	c.plan.slots[id].root = s.in[op.InPlace[i]]
}

// lowerAdd lowers Gorgonia's own sum of gradients.
func (c *compiler) lowerAdd(n *graph.Node) error {
	children := c.builder.Children(n)
	access, external := c.spec.External[n]
	if external && access == Overwrite && c.spec.Tile > 0 {
		return c.addThenCopy(n, children)
	}
	id := c.newSlot(c.builder.Info(n), external && access == Overwrite)
	a, b := c.plan.slotOf[children[0]], c.plan.slotOf[children[1]]
	if !external && (c.fuse(n, id, children[0], children[1]) || c.fuse(n, id, children[1], children[0])) {
		return nil
	}
	c.plan.slots[id].root = a
	c.plan.steps = append(c.plan.steps, step{kernel: "add", in: []int{a, b}, out: []int{id}, name: "sum of gradients", base: -1})
	c.plan.slotOf[n] = id
	if external && access == Accumulate {
		return c.addInto(n, id)
	}
	return nil
}

// addThenCopy is lowerAdd for an output of a tiled program: the sum is fused as
// it would be in the graph that the program stands in, so that it has the same
// bits, and then copied to the caller's buffer.
func (c *compiler) addThenCopy(n *graph.Node, children graph.Nodes) error {
	id := c.newSlot(c.builder.Info(n), false)
	a, b := c.plan.slotOf[children[0]], c.plan.slotOf[children[1]]
	if !c.fuse(n, id, children[0], children[1]) && !c.fuse(n, id, children[1], children[0]) {
		c.plan.slots[id].root = a
		c.plan.steps = append(c.plan.steps, step{kernel: "add", in: []int{a, b}, out: []int{id}, name: "sum of gradients", base: -1})
	}
	out := c.newSlot(c.builder.Info(n), true)
	c.plan.steps = append(c.plan.steps,
		step{kernel: "zero", out: []int{out}, name: "zero", base: -1},
		step{kernel: "accumulate", in: []int{id}, out: []int{out}, name: "copy", base: -1})
	c.plan.slotOf[n] = out
	return nil
}

// fuse makes the kernel behind one operand add to the other's memory, instead
// of a sum of its own: where nothing else reads either, the operand's kernel can
// accumulate, and the other one is there before it.
func (c *compiler) fuse(n *graph.Node, id int, operand, other *graph.Node) bool {
	op, ok := operand.Op().(*graph.Op)
	if !ok || !op.Accumulates || len(op.Outs) > 1 || c.readers[operand] != 1 || c.readers[other] != 1 || c.cut[operand] || c.cut[other] {
		return false
	}
	from, base := c.plan.slotOf[operand], c.plan.slotOf[other]
	at, made := c.plan.writer(from), c.plan.writer(base)
	if made < 0 || made >= at || c.plan.slots[base].external || c.plan.steps[at].accumulate {
		return false
	}
	s := &c.plan.steps[at]
	s.out[0], s.accumulate, s.base = id, true, base
	c.plan.slots[id].root = base
	c.plan.slotOf[n] = id
	return true
}

// writer is the step that makes a slot's value, or -1 for an input.
func (p *Plan) writer(id int) int {
	for i := len(p.steps) - 1; i >= 0; i-- {
		if slices.Contains(p.steps[i].out, id) {
			return i
		}
	}
	return -1
}

// addInto adds a computed value to an external buffer, which becomes the node's.
func (c *compiler) addInto(n *graph.Node, from int) error {
	id := c.newSlot(c.builder.Info(n), true)
	c.plan.steps = append(c.plan.steps, step{kernel: "accumulate", in: []int{from}, out: []int{id}, name: "accumulate", base: -1})
	c.plan.slotOf[n] = id
	return nil
}

// keep lists the slots that must survive the run.
func (c *compiler) keep() []int {
	var keep []int
	for _, n := range c.spec.Outputs {
		keep = append(keep, c.plan.slotOf[n])
	}
	return keep
}

// isAdd recognises the element-wise sum that Backpropagate inserts where a
// value is used more than once.
func isAdd(op gorgonia.Op) bool { return op.String() == addName }

var addName = func() string {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, gorgonia.Float32, gorgonia.WithShape(2, 2), gorgonia.WithName("x"))
	y := gorgonia.NewMatrix(g, gorgonia.Float32, gorgonia.WithShape(2, 2), gorgonia.WithName("y"))
	return gorgonia.Must(gorgonia.Add(x, y)).Op().String()
}()

// alignment of every value in the arena, in bytes.
const alignment = 256

func align(n int64) int64 { return (n + alignment - 1) / alignment * alignment }
