package bench

import "align/internal/cost"

// Speed is how fast a run computes, as Calibrate finds it: operations per second, by the rule of cost: of the decoder layers,
// and of the head with everything else.
type Speed struct {
	layers, rest float64
	// mix is the pairs of attention for each token that layers was measured at.
	// What a run has beyond it, longer sequences, counts by attention's own speeds:
	// attend forward, attendBack backward. again is how often the forward pass of
	// attention is computed once more.
	mix, attend, attendBack, again float64
}

// speedOf are the speeds behind the steps of one and of two layers. Where other
// programs disturbed them so much that a Speed comes out of the question, both
// are that of the two layers together.
func speedOf(one, two *sample, peak float64) Speed {
	layer := two.seconds() - one.seconds()
	rest := one.seconds() - layer*one.layers/(two.layers-one.layers)
	v := Speed{layers: (two.layers - one.layers) / layer, rest: one.rest / rest}
	if layer <= 0 || rest <= 0 || v.layers > peak || v.rest > peak {
		whole := (two.layers + two.rest) / two.seconds()
		return Speed{layers: whole, rest: whole}
	}
	return v
}

// seconds is the time of operations: those of the head are the rest's.
func (v Speed) seconds(all, headless float64) float64 {
	return headless/v.layers + (all-headless)/v.rest
}

// TrainSeconds is the time of all steps, ForwardSeconds of a pass without a
// gradient.
func (v Speed) TrainSeconds(x cost.Model, w cost.Work) float64 {
	w, beyond := v.within(w)
	y := x.Headless()
	seconds := v.seconds(x.Forward(w)+x.Backward(w), y.Forward(w)+y.Backward(w))
	if beyond > 0 {
		forward, backward := x.Attention(beyond)
		seconds += forward*(1+v.again)/v.attend + backward/v.attendBack
	}
	return seconds
}

func (v Speed) ForwardSeconds(x cost.Model, w cost.Work) float64 {
	w, beyond := v.within(w)
	seconds := v.seconds(x.Forward(w), x.Headless().Forward(w))
	if beyond > 0 {
		forward, _ := x.Attention(beyond)
		seconds += forward / v.attend
	}
	return seconds
}

// within is the work with no more pairs than the measured mix, and the pairs
// beyond it.
func (v Speed) within(w cost.Work) (cost.Work, float64) {
	beyond := w.Pairs - v.mix*w.Tokens
	if v.attend == 0 || beyond <= 0 {
		return w, 0
	}
	w.Pairs -= beyond
	return w, beyond
}
