package exec

import "slices"

// together are the steps, those that make the gradients of adapters' A from one x
// moved behind the others', right before the last of them: layers that share their x, as
// q, k and v do, then find in the caches what the first of them has read. Their
// gradients go to the caller, so that nothing waits for them, and what stays longer is
// du, as narrow as the rank. No value changes.
func (p *Plan) together() []step {
	steps := slices.Clone(p.steps)
	for i := len(steps) - 1; i >= 0; i-- {
		to := p.gathers(steps, i)
		s := steps[i]
		copy(steps[i:to], steps[i+1:to+1])
		steps[to] = s
	}
	return steps
}

// gathers is where step i goes: i itself, or right before the next that reads its x.
func (p *Plan) gathers(steps []step, i int) int {
	if !p.isGradientOfA(steps[i]) {
		return i
	}
	for j := i + 1; j < len(steps) && !touches(steps[j], steps[i].out); j++ {
		if p.isGradientOfA(steps[j]) && steps[j].in[1] == steps[i].in[1] {
			return j - 1
		}
	}
	return i
}

// isGradientOfA says whether a step is dA = du' x into memory of the caller.
func (p *Plan) isGradientOfA(s step) bool {
	if s.kernel != "matmul_tn" || s.base >= 0 || !p.slots[s.out[0]].external {
		return false
	}
	made := p.writer(s.in[0])
	return made >= 0 && p.steps[made].kernel == "lora_du"
}
