package model

import (
	"math"
	"slices"
	"testing"

	"align/datasets"
)

// Uniform in [-scale, scale]: mean 0, variance scale^2/3, within five standard
// errors of 2^18 draws; rows of other keys, steps and seeds are others.
func TestNoiseIsUniform(t *testing.T) {
	const n, width, scale = 1 << 12, 64, 0.25
	var sum, squares float64
	row, seen := make([]float32, width), map[float32]int{}
	for key := range int32(n) {
		fillNoise(row, 7, key, scale)
		for _, x := range row {
			if !(x >= -scale && x <= scale) {
				t.Fatalf("%v lies outside of %v", x, scale)
			}
			sum, squares = sum+float64(x), squares+float64(x)*float64(x)
		}
		seen[row[0]]++
	}
	draws := float64(n * width)
	if got, limit := sum/draws, 5*scale/math.Sqrt(3*draws); math.Abs(got) > limit {
		t.Errorf("mean %v, want 0 within %v", got, limit)
	}
	// The variance of u^2 is 4/45 for u in [-1, 1].
	if got, want, limit := squares/draws, scale*scale/3.0, 5*scale*scale*math.Sqrt(4/45.0/draws); math.Abs(got-want) > limit {
		t.Errorf("variance %v, want %v within %v", got, want, limit)
	}
	if len(seen) < n-1 {
		t.Errorf("%d rows begin with %d numbers", n, len(seen))
	}
	odd := make([]float32, 3)
	fillNoise(odd, 7, 11, 1)
	fillNoise(row, 7, 11, 1)
	if !slices.Equal(odd, row[:3]) {
		t.Errorf("a row of 3 is %v, of more %v", odd, row[:3])
	}
}

// L is the tokens of the token's own document.
func TestNoiseTakesTheDocumentsLength(t *testing.T) {
	p := &datasets.Pack{}
	p.AddExample(datasets.Example{IDs: make([]int32, 3), LossMask: make([]bool, 3)}, 5)
	p.AddExample(datasets.Example{IDs: make([]int32, 5), LossMask: make([]bool, 5), Document: []int32{0, 0, 0, 0, 1}}, 9)
	var n noise
	n.load(p)
	if want := []int32{3, 3, 3, 4, 4, 4, 4, 1}; !slices.Equal(n.lengths, want) {
		t.Errorf("lengths %v, want %v", n.lengths, want)
	}
	if !slices.Equal(n.keys, p.DropoutKey) {
		t.Errorf("keys %v, want %v", n.keys, p.DropoutKey)
	}
}
