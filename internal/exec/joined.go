package exec

import (
	"slices"

	"align/internal/device"
)

// joined are the steps, of which neighbours that a device.Joiner does by one kernel are
// one step. No value changes.
func (p *Plan) joined(joins func(kernel string) bool, keep []int) []step {
	var steps []step
	for rest := p.steps; len(rest) > 0; {
		s, n := p.join(rest, joins, keep)
		if n == 0 {
			s, n = rest[0], 1
		}
		steps, rest = append(steps, s), rest[n:]
	}
	return steps
}

// join is the first of the steps as one and their number, 0 where the device has no kernel
// for them.
func (p *Plan) join(steps []step, joins func(kernel string) bool, keep []int) (step, int) {
	switch first := steps[0].kernel; {
	case first == "add" && joins("add_rmsnorm"):
		return p.addNorm(steps)
	case first == "rope" && joins("rope_cache"):
		return p.ropeCache(steps, keep)
	case (first == "linear" || first == "lora_linear") && joins(first+"_add"):
		return p.productAdd(steps, keep)
	}
	return step{}, 0
}

// productAdd is a layer and the sum of its output and another value, the first two of the
// steps, as one; 0 where they are something else, or something else reads the output.
func (p *Plan) productAdd(steps []step, keep []int) (step, int) {
	if !kernelsAre(steps, steps[0].kernel, "add") {
		return step{}, 0
	}
	product, add := steps[0], steps[1]
	y, behind := product.out[0], add.in[0]
	if behind == y {
		behind = add.in[1]
	}
	if behind == y || !slices.Contains(add.in, y) || p.readers(y) != 1 || slices.Contains(keep, y) || p.slots[y].external {
		return step{}, 0
	}
	joined := product
	joined.kernel, joined.name = product.kernel+"_add", product.name+" and "+add.name
	joined.in, joined.out = append(slices.Clone(product.in), behind), slices.Clone(product.out)
	joined.out[0] = add.out[0]
	p.slots[add.out[0]].root = add.out[0]
	return joined, 2
}

// addNorm is a sum and the norm of it, the first two of the steps, as one; 0 where they
// are something else. The norm may lie over the summand that the sum does not.
func (p *Plan) addNorm(steps []step) (step, int) {
	if !kernelsAre(steps, "add", "rmsnorm") || steps[1].in[0] != steps[0].out[0] {
		return step{}, 0
	}
	add, norm := steps[0], steps[1]
	p.slots[norm.out[0]].root = add.in[0]
	return step{
		kernel: "add_rmsnorm", attr: norm.attr, in: []int{add.in[0], add.in[1], norm.in[1]}, out: []int{add.out[0], norm.out[0]},
		base: -1, name: add.name + " and " + norm.name,
	}, 2
}

// ropeCache is the rotation of q and k and the writing of k and v, the first four of the
// steps, as one; 0 where they are something else, or something else reads the rotated k.
func (p *Plan) ropeCache(steps []step, keep []int) (step, int) {
	if !kernelsAre(steps, "rope", "rope", "cache_write", "cache_write") {
		return step{}, 0
	}
	q, k, keys, values := steps[0], steps[1], steps[2], steps[3]
	turned := k.out[0]
	if keys.in[0] != turned || values.in[0] == turned || p.readers(turned) != 1 || slices.Contains(keep, turned) {
		return step{}, 0
	}
	if q.in[1] != k.in[1] || keys.in[1] != values.in[1] || q.attr != k.attr || q.attr.(device.Rope).Inverse {
		return step{}, 0
	}
	return step{
		kernel: "rope_cache", attr: q.attr, in: []int{q.in[0], k.in[0], values.in[0], q.in[1], keys.in[1]}, out: []int{q.out[0], keys.out[0], values.out[0]},
		base: -1, name: q.name + " to " + values.name,
	}, 4
}

// kernelsAre says whether the steps begin with these kernels, none of which adds to what
// is there.
func kernelsAre(steps []step, kernels ...string) bool {
	if len(steps) < len(kernels) {
		return false
	}
	for i, kernel := range kernels {
		if s := steps[i]; s.kernel != kernel || s.base >= 0 || s.accumulate {
			return false
		}
	}
	return true
}

// readers is the number of steps that read a slot.
func (p *Plan) readers(id int) (n int) {
	for _, s := range p.steps {
		if slices.Contains(s.in, id) {
			n++
		}
	}
	return n
}
