package safetensors

import (
	"math"
	"slices"
)

// scaleBlock is the number of scales that share a scale of their own.
const scaleBlock = 256

// Scales are the scales of an NF4 tensor quantised to eight bits (double
// quantisation, compress_statistics in bitsandbytes):
//
//	absMax = Map[Codes[i]] * Nested[i/256] + Offset
type Scales struct {
	Codes  []byte
	Map    [256]float32 // rising
	Nested []float32
	Offset float32
	Block  int // 256, or what a file says
}

// CompressScales quantises absMax. The offset is the mean, summed in float64;
// the reference sums in float32 in an order that depends on the device, so its
// last bit may differ.
func CompressScales(absMax []float32) Scales {
	s := Scales{Map: dynamicMap(), Block: scaleBlock}
	sum := 0.0
	for _, a := range absMax {
		sum += float64(a)
	}
	if len(absMax) > 0 {
		s.Offset = float32(sum / float64(len(absMax)))
	}
	centred := make([]float32, len(absMax))
	for i, a := range absMax {
		centred[i] = a - s.Offset
	}
	for block := range slices.Chunk(centred, scaleBlock) {
		most := maxAbs(block)
		s.Nested = append(s.Nested, most)
		for _, v := range block {
			s.Codes = append(s.Codes, nearestCode(&s.Map, v, most))
		}
	}
	return s
}

// nearestCode finds the entry of the rising map nearest to v/most, the lower one
// of two that are equally near: as bitsandbytes' CUDA kernel does, with the
// middles rounded to float32. (Its library for processors looks entries up in a
// coarser table and misses some by one.)
func nearestCode(m *[256]float32, v, most float32) byte {
	x := v * reciprocal(most)
	above, _ := slices.BinarySearch(m[:], x)
	if above == 0 {
		return 0
	}
	if above == len(m) || x <= (m[above-1]+m[above])/2 {
		return byte(above - 1)
	}
	return byte(above)
}

// Expand returns the scales that s stands for.
func (s *Scales) Expand() []float32 {
	out := make([]float32, len(s.Codes))
	for i, c := range s.Codes {
		out[i] = float32(s.Map[c]*s.Nested[i/s.Block]) + s.Offset
	}
	return out
}

// dynamicMap is create_dynamic_map(signed=True, max_exponent_bits=7,
// total_bits=8) of bitsandbytes: for each of seven powers of ten, the middles
// of 1, 2, 4, ... 64 equal parts of [0.1, 1], and their negatives; 0 and 1.
// The values are those of PyTorch on a machine that fuses multiply and add.
func dynamicMap() [256]float32 {
	m := [256]float32{1: 1} // 0 and 1 first; sorted below
	at := 2
	for e := range 7 {
		parts := 1 << e
		power := float32(math.Pow10(e - 6))
		for i := range parts {
			middle := power * ((partEdge(i, parts) + partEdge(i+1, parts)) / 2)
			m[at], m[at+1] = middle, -middle
			at += 2
		}
	}
	slices.Sort(m[:])
	return m
}

// partEdge is element i of torch.linspace(0.1, 1, parts+1) in float32, which
// counts from the nearer end and rounds once: the product is exact in float64.
func partEdge(i, parts int) float32 {
	const first, last = float32(0.1), float32(1)
	step := float64((last - first) / float32(parts))
	if i < (parts+1)/2 {
		return float32(float64(first) + step*float64(i))
	}
	return float32(float64(last) - step*float64(parts-i))
}
