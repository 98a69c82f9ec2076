package exec

import (
	"errors"
	"fmt"

	"align/internal/device"
	"align/internal/graph"

	"gorgonia.org/gorgonia"
)

// Slot is the place of one value in a Program.
type Slot int

// Program is a plan on a device. It runs in the caller's goroutine and
// allocates nothing per run.
type Program struct {
	plan    *Plan
	backend device.Backend
	views   []device.View
	steps   []bound
	rows    [graph.NumSymbols]int
	inner   []graph.Bound
	run     func() error // all steps, made once
	graphs  *graphs      // nil where nothing is captured
	over    []int        // slots that lie over a spent input
}

// bound is a step with its kernel and the views of its call.
type bound struct {
	kernel device.Kernel
	call   device.Call
	step   *step
}

var _ gorgonia.VM = (*Program)(nil)

// ErrUnset is returned by Run when an input or an external output has no view.
var ErrUnset = errors.New("exec: value is not set")

// Bind puts the plan on a device, in memory of at least ArenaBytes.
func (p *Plan) Bind(b device.Backend, mem device.Memory) (*Program, error) {
	if mem.Bytes < p.ArenaBytes() {
		return nil, fmt.Errorf("exec: arena has %d bytes, the plan needs %d", mem.Bytes, p.ArenaBytes())
	}
	prog := &Program{plan: p, backend: b, views: make([]device.View, len(p.slots))}
	prog.run = prog.runSteps
	for i, s := range p.slots {
		rows := &prog.rows[s.info.Rows.Symbol]
		*rows = max(*rows, s.info.Rows.Max)
		if !s.external {
			prog.views[i] = mem.At(s.offset, s.info.Type, s.info.Rows.Max, s.info.Width())
		}
		if !s.external && p.slots[s.root].external {
			prog.over = append(prog.over, i)
		}
	}
	runners, err := prog.bindRunners(mem)
	if err != nil {
		return nil, err
	}
	return prog, prog.bindSteps(runners)
}

// bindRunners binds each inner program once, all in the same workspace.
func (pr *Program) bindRunners(mem device.Memory) (map[graph.Runner]graph.Bound, error) {
	workspace := device.Memory{Addr: mem.Addr, Bytes: pr.plan.workspace}
	runners := map[graph.Runner]graph.Bound{}
	for _, r := range pr.plan.runners {
		b, err := r.Bind(pr.backend, workspace)
		if err != nil {
			return nil, err
		}
		runners[r] = b
		pr.inner = append(pr.inner, b)
	}
	return runners, nil
}

func (pr *Program) bindSteps(runners map[graph.Runner]graph.Bound) error {
	pr.steps = make([]bound, len(pr.plan.steps))
	for i := range pr.plan.steps {
		s := &pr.plan.steps[i]
		b := &pr.steps[i]
		b.step = s
		b.call = device.Call{Accumulate: s.accumulate, In: make([]device.View, len(s.in)), Out: make([]device.View, len(s.out))}
		if s.runner != nil {
			b.kernel = runners[s.runner].Run
			continue
		}
		kernel, err := pr.backend.Bind(s.kernel, s.attr)
		if err != nil {
			return fmt.Errorf("exec: %s: %w", s.name, err)
		}
		b.kernel = kernel
	}
	return nil
}

// Slot is the slot of a node, and whether the program has it.
func (pr *Program) Slot(n *graph.Node) (Slot, bool) {
	id, ok := pr.plan.slotOf[n]
	return Slot(id), ok
}

// Set gives an input or an external output its view.
func (pr *Program) Set(s Slot, v device.View) {
	pr.graphs.forget()
	pr.views[s] = v
}

// SetNode is Set by node; a node that the program does not use is ignored.
func (pr *Program) SetNode(n *graph.Node, v device.View) {
	if id, ok := pr.plan.slotOf[n]; ok {
		pr.Set(Slot(id), v)
	}
}

// Resize sets how many rows of a kind the next runs have, for every value
// whose rows are counted by the symbol; before the first time it is the most.
func (pr *Program) Resize(s graph.Symbol, rows int) {
	if s == graph.Fixed || pr.rows[s] == rows {
		return
	}
	pr.rows[s] = rows
	for i := range pr.views {
		if pr.plan.slots[i].info.Rows.Symbol == s {
			pr.views[i].Rows = rows
		}
	}
	for _, b := range pr.inner {
		b.Resize(s, rows)
	}
}

// Rows is the number of rows that the next run has of a dimension.
func (pr *Program) Rows(d graph.Dim) int {
	if d.Symbol == graph.Fixed {
		return d.Max
	}
	return pr.rows[d.Symbol]
}

// Value is the view of a node's value after a run.
func (pr *Program) Value(n *graph.Node) (device.View, bool) {
	id, ok := pr.plan.slotOf[n]
	if !ok {
		return device.View{}, false
	}
	return pr.views[id], true
}

// Run runs every step in order.
func (pr *Program) Run() error {
	if pr.graphs != nil {
		return pr.graphs.run(pr)
	}
	return pr.runOnce()
}

// runOnce runs every step by itself.
func (pr *Program) runOnce() error {
	if b, is := pr.backend.(within); is {
		return b.Within(pr.run)
	}
	return pr.run()
}

// within is a backend whose kernels run on a thread of its own: all steps go
// there at once.
type within interface{ Within(func() error) error }

func (pr *Program) runSteps() error {
	for _, id := range pr.over {
		pr.views[id].Addr = pr.views[pr.plan.slots[id].root].Addr
	}
	for i := range pr.steps {
		b := &pr.steps[i]
		for k, id := range b.step.in {
			b.call.In[k] = pr.views[id]
			if pr.views[id].Addr == 0 {
				return fmt.Errorf("%w: input %d of %s", ErrUnset, k, b.step.name)
			}
		}
		for k, id := range b.step.out {
			if id >= 0 {
				b.call.Out[k] = pr.views[id]
			}
		}
		if err := b.kernel(&b.call); err != nil {
			return fmt.Errorf("exec: %s: %w", b.step.name, err)
		}
	}
	return nil
}

// RunAll is Run under gorgonia.VM's name.
func (pr *Program) RunAll() error { return pr.Run() }

// Reset does nothing: a Program keeps no state between runs.
func (pr *Program) Reset() {}

// Close does nothing: the memory is the caller's.
func (pr *Program) Close() error { return nil }
