package cpu

import (
	"slices"

	"align/internal/device"
)

// chunks is the functions of the level.
func (f *fast) chunks() chunks[float32] {
	c := chunks[float32]{add: f.addChunk, exp: f.expFrom, read: f.readRow}
	if f.rounded() == device.BF16 {
		c.keep, c.keeps = f.keepChunk, f.set.HasExpWeights
	}
	return c
}

// addChunk is addChunk in the functions of the level.
func (f *fast) addChunk(s *softmaxRow, z []float32, col int) {
	f.raise(s, z, col)
	s.addSums(f.set.ExpMoments(z, 1, float32(s.largest)))
}

// keepChunk is addChunk with the weights, relative to the largest logit so far, in y.
func (f *fast) keepChunk(s *softmaxRow, y []uint16, z []float32, col int) {
	f.raise(s, z, col)
	s.addSums(f.set.ExpWeights(y, z, 1, float32(s.largest)))
}

func (f *fast) raise(s *softmaxRow, z []float32, col int) {
	if m := f.set.Max(z); float64(m) > s.largest {
		s.raise(float64(m), col+f.find(z, m))
	}
}

// find is the first index of m, the largest of z.
func (f *fast) find(z []float32, m float32) int {
	const some = 64
	at := 0
	for at+some < len(z) && f.set.Max(z[at:at+some]) < m {
		at += some
	}
	if i := slices.Index(z[at:], m); i >= 0 {
		return at + i
	}
	return slices.Index(z, m) // a NaN hid it
}

func (s *softmaxRow) addSums(sum, moment float32) {
	s.sum += float64(sum)
	s.moment += float64(moment)
}

// weighLogits is weighLogits in the functions of the level.
func (f *fast) weighLogits(z []float32, lse, scale float32) {
	f.set.ExpSum(z, z, 1, lse)
	f.set.Scale(z, z, -scale)
}
