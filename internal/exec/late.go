package exec

import "slices"

// layoutLate is layout with the steps in order or as late as they can be, the one
// that takes less memory. A backward program computes again what was not saved,
// and its nodes are older than all gradients: in order they would all come first
// and lie there until the gradient that reads them.
func (p *Plan) layoutLate(keep []int) error {
	other := *p
	other.slots, other.steps = slices.Clone(p.slots), p.late()
	if err := p.layout(keep); err != nil {
		return err
	}
	if err := other.layout(keep); err != nil {
		return err
	}
	if other.arena < p.arena {
		*p = other
	}
	return nil
}

// late are the steps, each that only makes values of the program moved to right
// before the first step that has to do with them. No value changes: a sum is still
// taken in the order in which it was lowered.
func (p *Plan) late() []step {
	steps := slices.Clone(p.steps)
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if !p.movable(s) {
			continue
		}
		to := i
		for to+1 < len(steps) && !touches(steps[to+1], s.out) {
			to++
		}
		copy(steps[i:to], steps[i+1:to+1])
		steps[to] = s
	}
	return steps
}

// movable says whether nothing but its outputs ties a step to its place.
func (p *Plan) movable(s step) bool {
	ours := func(id int) bool { return id < 0 || !p.slots[id].external }
	return s.runner == nil && len(s.in) > 0 && s.base < 0 && !s.accumulate && !slices.ContainsFunc(s.out, func(id int) bool { return !ours(id) })
}

// touches says whether the step reads or writes one of the slots.
func touches(s step, slots []int) bool {
	return slices.ContainsFunc(slots, func(id int) bool {
		return id >= 0 && (s.base == id || slices.Contains(s.in, id) || slices.Contains(s.out, id))
	})
}
