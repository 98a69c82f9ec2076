package gguf

// The two searches of ggml's K formats. Both try a row of scales around the
// obvious one, round, and keep the least-squares scale of the best rounding.

// smallestScale is the magnitude below which ggml takes a group for zero
// (ggml-quants.c, GROUP_MAX_EPS).
const smallestScale = 1e-15

// fitScale finds a scale for x and numbers q of 0 to 63 so that x is near
// scale*(q-32), with each error weighted by x^2 (make_qx_quants with a range of
// 32 and rmse type 1).
func fitScale(x []float32, numbers []byte) float32 {
	const half = 32
	most := signedMax(x)
	if abs(most) < smallestScale {
		clear(numbers)
		return 0
	}
	sumXL, sumL2 := tryScale(x, numbers, -half/most)
	scale := float32(0)
	if sumL2 != 0 {
		scale = sumXL / sumL2
	}
	best := scale * sumXL
	var trial [16]byte
	for step := -9; step <= 9; step++ {
		if step == 0 {
			continue
		}
		sumXL, sumL2 := tryScale(x, trial[:], -(half+float32(0.1*float32(step)))/most)
		if sumL2 > 0 && float32(sumXL*sumXL) > float32(best*sumL2) {
			copy(numbers, trial[:])
			scale = sumXL / sumL2
			best = scale * sumXL
		}
	}
	return scale
}

// tryScale rounds x times inv to numbers and returns the sums of the least
// squares, weighted by x^2.
func tryScale(x []float32, numbers []byte, inv float32) (sumXL, sumL2 float32) {
	for i, v := range x {
		l := max(-32, min(31, nearest(float32(inv*v))))
		numbers[i] = byte(l + 32)
		weight := float32(v * v)
		sumXL += float32(float32(weight*v) * float32(l))
		sumL2 += float32(float32(weight*float32(l)) * float32(l))
	}
	return sumXL, sumL2
}

// fitScaleMin finds a scale and a minimum for x and numbers q of 0 to 15 so that
// x is near scale*q - minimum, with weighted squared errors (make_qkx2_quants
// with 21 steps of 0.1 from -1).
func fitScaleMin(x, weights []float32, numbers []byte) (scale, minimum float32) {
	const most = 15
	low, high := x[0], x[0]
	var sums weightSums
	for i, v := range x {
		low, high = min(low, v), max(high, v)
		sums.w += weights[i]
		sums.x += float32(weights[i] * v)
	}
	low = min(low, 0)
	if low == high {
		clear(numbers)
		return 0, -low
	}
	scale = 1 / (most / (high - low))
	roundGroup(x, numbers, low, most/(high-low))
	best := squaredError(x, weights, numbers, scale, low)
	var trial [32]byte
	for step := range 21 {
		inv := (float32(0.1*float32(step)) - 1 + most) / (high - low)
		roundGroup(x, trial[:], low, inv)
		newScale, newLow, ok := sums.solve(x, weights, trial[:])
		if !ok {
			continue
		}
		if e := squaredError(x, weights, trial[:], newScale, newLow); e < best {
			copy(numbers, trial[:])
			best, scale, low = e, newScale, newLow
		}
	}
	return scale, -low
}

func roundGroup(x []float32, numbers []byte, low, inv float32) {
	for i, v := range x {
		numbers[i] = byte(max(0, min(15, nearest(float32(inv*(v-low))))))
	}
}

func squaredError(x, weights []float32, numbers []byte, scale, low float32) float32 {
	sum := float32(0)
	for i, v := range x {
		diff := float32(scale*float32(numbers[i])) + low - v
		sum += float32(weights[i] * float32(diff*diff))
	}
	return sum
}

// weightSums are the sums over a group that do not depend on the numbers.
type weightSums struct{ w, x float32 }

// solve returns the scale and the minimum, at most 0, with the least weighted
// squared error for given numbers; ok is false where they are not determined.
func (s weightSums) solve(x, weights []float32, numbers []byte) (scale, low float32, ok bool) {
	var sumL, sumL2, sumXL float32
	for i, v := range x {
		l := float32(numbers[i])
		wl := float32(weights[i] * l)
		sumL += wl
		sumL2 += float32(wl * l)
		sumXL += float32(wl * v)
	}
	det := float32(s.w*sumL2) - float32(sumL*sumL)
	if det <= 0 {
		return 0, 0, false
	}
	scale = (float32(s.w*sumXL) - float32(s.x*sumL)) / det
	low = (float32(sumL2*s.x) - float32(sumL*sumXL)) / det
	if low > 0 {
		return sumXL / sumL2, 0, true
	}
	return scale, low, true
}
