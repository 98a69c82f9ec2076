package safetensors

import (
	"math"
	"slices"
)

// The NF4 format of bitsandbytes (https://arxiv.org/abs/2305.14314, appendix E;
// bitsandbytes/functional.py): elements in row-major order in blocks of 64, each
// the nearest of sixteen values times the block's largest magnitude.
//
//	w = code[q] * absMax[block]

// NF4Block is the number of elements that share a scale by default.
const NF4Block = 64

// NF4Code is the sixteen values: the quantiles of a normal distribution that an element can be.
func NF4Code() [16]float32 {
	return [16]float32{
		-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
		-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
		0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
		0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
	}
}

// nf4Threshold are the values above which the next code is taken.
func nf4Threshold() [15]float32 {
	return [15]float32{
		-0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544,
		-0.23460740596055984, -0.13791173323988914, -0.045525018125772476, 0.03979014977812767,
		0.1202552504837513, 0.2035212516784668, 0.2920137718319893, 0.3893125355243683,
		0.5016634166240692, 0.6427869200706482, 0.8614784178118011,
	}
}

// NF4 is a tensor of n elements in the NF4 format.
type NF4 struct {
	Shape  []int
	DType  DType     // of the tensor before it was quantised
	Block  int       // elements that share a scale
	Packed []byte    // two elements to a byte, the first in the high half: (n+1)/2 bytes
	AbsMax []float32 // one scale for each block: ceil(n/Block)
}

// QuantizeNF4 converts x, whose elements are finite, to blocks of NF4Block.
func QuantizeNF4(x []float32, shape []int, d DType) NF4 {
	q := NF4{Shape: slices.Clone(shape), DType: d, Block: NF4Block, Packed: make([]byte, (len(x)+1)/2)}
	codes := newNF4Codes()
	at := 0
	for block := range slices.Chunk(x, NF4Block) {
		most := maxAbs(block)
		q.AbsMax = append(q.AbsMax, most)
		inverse := reciprocal(most)
		for _, v := range block {
			code := codes.of(v * inverse)
			q.Packed[at/2] |= code << (4 * (1 - at%2))
			at++
		}
	}
	return q
}

// reciprocal is 1/most as the reference multiplies by it; 0 for a block of
// zeros, and the largest float32 where 1/most is beyond it.
func reciprocal(most float32) float32 {
	if most == 0 {
		return 0
	}
	return min(1/most, math.MaxFloat32)
}

// nf4Bins is so many that no two thresholds are in one bin.
const nf4Bins = 64

// nf4Codes finds codes: from x follows a bin, from the bin all but one threshold.
type nf4Codes struct {
	base      [nf4Bins]byte    // thresholds below the bin
	threshold [nf4Bins]float32 // the one in it, or +Inf
}

func newNF4Codes() *nf4Codes {
	var c nf4Codes
	for bin := range c.threshold {
		c.threshold[bin] = float32(math.Inf(1))
	}
	for i, t := range nf4Threshold() {
		at := nf4Bin(t)
		c.threshold[at] = t
		for bin := at + 1; bin < nf4Bins; bin++ {
			c.base[bin] = byte(i + 1)
		}
	}
	return &c
}

// nf4Bin rises with x, so that thresholds of lower bins are below x.
func nf4Bin(x float32) int { return min(max(int((x+1)*(nf4Bins/2)), 0), nf4Bins-1) }

// of is the number of thresholds that x is above.
func (c *nf4Codes) of(x float32) byte {
	bin := nf4Bin(x)
	code := c.base[bin]
	if x > c.threshold[bin] {
		code++
	}
	return code
}

// maxAbs compares bits: of finite numbers without a sign they rise with these.
func maxAbs(x []float32) float32 {
	most := uint32(0)
	for _, v := range x {
		most = max(most, math.Float32bits(v)&^(1<<31))
	}
	return math.Float32frombits(most)
}

// Dequantize writes the elements from, from+1, ... to dst. The reference
// rounds them to DType afterwards; this does not.
func (q *NF4) Dequantize(dst []float32, from int) {
	code := NF4Code()
	for i := range dst {
		at := from + i
		packed := q.Packed[at/2] >> (4 * (1 - at%2)) & 15
		dst[i] = code[packed] * q.AbsMax[at/q.Block]
	}
}
