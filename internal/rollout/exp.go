package rollout

import "math"

// expSteps divides an octave: between two steps a parabola serves.
const expSteps = 1 << 11

// expTable is 2^(i/expSteps).
var expTable = func() (t [expSteps]float64) {
	for i := range t {
		t[i] = math.Exp2(float64(i) / expSteps)
	}
	return t
}()

// expSum fills weights with e^((z-top) inverse) and returns their sum, in
// ascending order. No z exceeds top. A vocabulary's worth of them is drawn from
// for every token, so that this is a table and a parabola: a relative error of
// 1e-11, far below the logits' own.
func expSum(weights []float64, logits []float32, top, inverse float64) (sum float64) {
	const (
		perStep = expSteps * math.Log2E
		step    = math.Ln2 / expSteps
		least   = -1000 * expSteps // 2^-1000 and less is 0
	)
	weights = weights[:len(logits)]
	for i, z := range logits {
		x := (float64(z) - top) * inverse
		n := x * perStep
		if n <= least { // NaN goes on as NaN
			weights[i] = 0
			continue
		}
		k := int64(n) // towards 0: the rest is at most 0 and above -1 step
		r := x - float64(k)*step
		scale := math.Float64frombits(uint64(1023+k>>11) << 52)
		w := expTable[k&(expSteps-1)] * scale * (1 + r*(1+r*(0.5+r*(1.0/6))))
		weights[i] = w
		sum += w
	}
	return sum
}
