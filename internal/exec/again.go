package exec

import "slices"

// again are the steps, of which a swiglu whose g and u its gradient reads as well is
// done by that: a backward program that computes y again for the gradient of the layer
// behind it computes the sigmoid once. What reads y goes behind the gradient, which is
// allowed where it makes gradients for the caller. No value changes.
func (p *Plan) again() []step {
	steps := slices.Clone(p.steps)
	for i := 0; i < len(steps); i++ {
		if j := gradientOf(steps, i); j >= 0 && p.waits(steps[i+1:j], steps[i].out[0]) {
			steps = doAgain(steps, i, j)
		}
	}
	return steps
}

// gradientOf is the step after i that is the gradient of the swiglu that i is, or -1.
func gradientOf(steps []step, i int) int {
	if steps[i].kernel != "swiglu" {
		return -1
	}
	for j := i + 1; j < len(steps); j++ {
		if s := steps[j]; s.kernel == "swiglu_grad" && s.out[2] < 0 && slices.Equal(s.in[:2], steps[i].in) {
			return j
		}
	}
	return -1
}

// waits says whether those of the steps that read y can come behind all of them.
func (p *Plan) waits(steps []step, y int) bool {
	if p.slots[y].external {
		return false
	}
	for i, s := range steps {
		if slices.Contains(s.in, y) && (!p.forCaller(s) || touched(steps[i+1:], s.out)) {
			return false
		}
	}
	return true
}

// forCaller says whether a step writes the caller's memory alone.
func (p *Plan) forCaller(s step) bool {
	return s.runner == nil && s.base < 0 && !slices.ContainsFunc(s.out, func(id int) bool { return id >= 0 && !p.slots[id].external })
}

func touched(steps []step, slots []int) bool {
	return slices.ContainsFunc(steps, func(s step) bool { return touches(s, slots) })
}

// doAgain makes step j do step i, whose readers between them come behind it.
func doAgain(steps []step, i, j int) []step {
	y := steps[i].out[0]
	var before, behind []step
	for _, s := range steps[i+1 : j] {
		if slices.Contains(s.in, y) {
			behind = append(behind, s)
		} else {
			before = append(before, s)
		}
	}
	gradient := steps[j]
	gradient.out = []int{gradient.out[0], gradient.out[1], y}
	return slices.Concat(steps[:i], before, []step{gradient}, behind, steps[j+1:])
}
