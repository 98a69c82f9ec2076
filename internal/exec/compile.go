package exec

import (
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
	c.plan.steps = c.plan.joined(c.builder.Joins, c.keep())
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
