package cpu

import "slices"

// addChunk is addChunk in the functions of the level.
func (f *fast) addChunk(s *softmaxRow, z []float32, col int) {
	if m := f.set.Max(z); float64(m) > s.largest {
		s.raise(float64(m), col+slices.Index(z, m))
	}
	sum, moment := f.set.ExpMoments(z, 1, float32(s.largest))
	s.sum += float64(sum)
	s.moment += float64(moment)
}

// weighLogits is weighLogits in the functions of the level.
func (f *fast) weighLogits(z []float32, lse, scale float32) {
	f.set.ExpSum(z, z, 1, lse)
	f.set.Scale(z, z, -scale)
}
