package gguf

// Q4KFactors is what a block of Q4_K multiplies and subtracts: of each of its
// eight groups of 32 the scale, then the minimum. A weight is scale*number -
// minimum.
func Q4KFactors(dst *[16]float32, block []byte) {
	d, m := loadF16(block), loadF16(block[2:])
	for j := range 8 {
		scale, minimum := groupScale(block[4:16], j)
		dst[2*j], dst[2*j+1] = d*float32(scale), m*float32(minimum)
	}
}

// Q6KFactors is the scales of the sixteen groups of a block of Q6_K. A weight is
// scale*(number - 32).
func Q6KFactors(dst *[16]float32, block []byte) {
	d := loadF16(block[208:])
	for j, scale := range block[192:208] {
		dst[j] = d * float32(int8(scale))
	}
}
