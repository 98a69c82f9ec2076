//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// slopeCase is a head of three chunks of ids. Rows 0 to 2 have a target that is nearly
// certain, in one chunk each, rows 3 and 4 one among others, and row 5 has none.
type slopeCase struct {
	h, w    []float32
	targets []int32
}

const (
	slopeRows, slopeIDs, slopeCols = 6, 2*4096 + 300, 64
	inverseTemperature             = 2
)

func newSlopeCase() slopeCase {
	rng := random(11)
	s := slopeCase{make([]float32, slopeRows*slopeCols), make([]float32, slopeIDs*slopeCols), []int32{7, 4096, 8491, 5000, 3, -1}}
	for i := range s.w { // exact in bfloat16, as h is
		s.w[i] = float32(rng.IntN(17)-8) / 16
	}
	for i := range s.h {
		s.h[i] = float32(rng.IntN(17)-8) / 16
		if row := i / slopeCols; row < 3 {
			s.h[i] = 2.5 * s.w[int(s.targets[row])*slopeCols+i%slopeCols]
		}
	}
	return s
}

// want is d lp/d h of a row, and p of its target, in float64.
func (s slopeCase) want(row int) (slope []float64, p float64) {
	h, target, slope := s.h[row*slopeCols:][:slopeCols], int(s.targets[row]), make([]float64, slopeCols)
	if target < 0 {
		return slope, 0
	}
	z, top := make([]float64, slopeIDs), math.Inf(-1)
	for v := range z {
		for j, x := range h {
			z[v] += inverseTemperature * float64(x) * float64(s.w[v*slopeCols+j])
		}
		top = max(top, z[v])
	}
	sum := 0.0
	for v := range z {
		z[v] = math.Exp(z[v] - top)
		sum += z[v]
	}
	for v, e := range z {
		for j := range slope {
			slope[j] += inverseTemperature * e / sum * float64(s.w[target*slopeCols+j]-s.w[v*slopeCols+j])
		}
	}
	return slope, z[target] / sum
}

// run is logprob's outputs, the fifth where slopes are wanted.
func (s slopeCase) run(t *testing.T, b *cuda.Backend, slopes bool) [][]float64 {
	t.Helper()
	kernel, err := b.Bind("logprob", device.LogProb{Temperature: 1.0 / inverseTemperature})
	if err != nil {
		t.Fatal(err)
	}
	ids := upload(t, b, slopeRows, 1, bitsAsFloats(s.targets))
	ids.Type = device.I32
	c := &device.Call{In: []device.View{upload(t, b, slopeRows, slopeCols, s.h), upload(t, b, slopeIDs, slopeCols, s.w), ids}}
	for range 4 {
		c.Out = append(c.Out, upload(t, b, slopeRows, 1, make([]float32, slopeRows)))
	}
	if slopes {
		c.Out = append(c.Out, upload(t, b, slopeRows, slopeCols, make([]float32, slopeRows*slopeCols)))
	}
	if err := kernel(c); err != nil {
		t.Fatal(err)
	}
	var out [][]float64
	for _, v := range c.Out {
		out = append(out, download(t, b, v))
	}
	return out
}

func bitsAsFloats(ids []int32) []float32 {
	var x []float32
	for _, id := range ids {
		x = append(x, math.Float32frombits(uint32(id)))
	}
	return x
}

// Slopes over chunks of ids whose largest logit comes early or late are those of
// float64, of a certain target as of any other: its weight 1-p is not what is left of
// a sum of rounded ones. What logprob says besides has the same bits without them.
func TestSlopesOverChunks(t *testing.T) {
	// Each weight of the softmax is rounded to bfloat16 by itself.
	const tolerance = 1.0 / 128
	b, s := openCard(t), newSlopeCase()
	got, plain := s.run(t, b, true), s.run(t, b, false)
	for i, x := range plain {
		if !slices.Equal(x, got[i]) {
			t.Errorf("output %d is %v with slopes and %v without", i, got[i], x)
		}
	}
	for row := range slopeRows {
		want, p := s.want(row)
		if row < 3 && p < 0.99 {
			t.Fatalf("row %d: the target has %.4f: want a certain one", row, p)
		}
		d := distance(got[4][row*slopeCols:][:slopeCols], want)
		if !(d <= tolerance*largest(want)) {
			t.Errorf("row %d: the slope is off by %.3g of its largest element", row, d/largest(want))
		}
	}
}

// foldOnce runs the fold of one chunk with slopes, by a given text.
func foldOnce(t *testing.T, c *cudatest.Card, text string) error {
	const rows, ids, ld, cols = 3, 300, 304, 16
	rng, z := random(12), make([]float32, rows*ld)
	for i := range z {
		z[i] = float32(rng.NormFloat64())
	}
	w := newMatrix(rng, ids, cols)
	return c.TryRun(text, "logprob_fold_slope", line(rows), line(256), 0, driver.Ptr(cudatest.Alloc[uint8](t, c, 40*rows)), driver.Ptr(cudatest.Upload(t, c, z)),
		driver.Ptr(cudatest.Upload(t, c, []int32{3, -1, 299})), integer(ld), integer(0), integer(ids), driver.Ptr(cudatest.Alloc[uint16](t, c, rows*ld)),
		driver.Ptr(cudatest.Alloc[float32](t, c, rows*cols)), driver.Ptr(cudatest.Alloc[float32](t, c, rows*cols)), driver.Ptr(cudatest.Upload(t, c, w.raw)), integer(w.ld), integer(cols))
}
