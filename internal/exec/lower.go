package exec

import (
	"fmt"
	"slices"

	"align/internal/graph"
)

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
