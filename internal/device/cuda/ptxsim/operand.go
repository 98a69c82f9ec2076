package ptxsim

import "encoding/binary"

// operand is a side of a wgmma in shared memory, as a matrix descriptor tells
// where it lies (PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory
// Layout"). Its vectors are the rows of A or the columns of B. Only the swizzle
// of 128 bytes is simulated: lines of 128 bytes, whose chunks of 16 bytes are
// exchanged by bits 7 to 9 of their address.
//
//	terms along a line:    8 lines are 8 vectors; the next 8 lie stride bytes on
//	vectors along a line:  8 lines are 8 terms; the next 8 lie stride bytes on,
//	                       the next 64 vectors leading bytes on
type operand struct {
	start, leading, stride int
	across                 bool // vectors along a line
}

// swizzle128 is the layout type of a swizzle of 128 bytes in a descriptor.
const swizzle128 = 1

// operandOf reads a descriptor.
func (w *warp) operandOf(d uint64, across bool) operand {
	field := func(bit uint) int { return int(d>>bit&0x3fff) << 4 }
	o := operand{field(0), field(16), field(32), across}
	if d>>62 != swizzle128 || d>>49&7 != 0 {
		w.fault(Misaligned, -1, "matrix descriptor %#x: only a swizzle of 128 bytes without a base offset is simulated", d)
	}
	if o.start&0x380 != 0 {
		w.fault(Misaligned, -1, "matrix descriptor %#x: the lines at %#x do not begin at a multiple of 1024", d, o.start)
	}
	if d&(3<<14|3<<30|7<<46|0x3ff<<52) != 0 {
		w.fault(Misaligned, -1, "matrix descriptor %#x: bits that have no meaning are set", d)
	}
	return o
}

// at is where 8 neighbours lie: of vector v the terms from k on or, across, of
// term k the vectors from v on.
func (o *operand) at(v, k int) int {
	at := o.start
	if o.across {
		at += v/64*o.leading + v%64*2 + k/8*o.stride + k%8*128
	} else {
		at += v/8*o.stride + v%8*128 + k*2
	}
	return at ^ at>>3&0x70
}

// chunks visits every chunk of 16 bytes of some vectors and 16 terms.
func (o *operand) chunks(first, vectors int, visit func(at, v, k int)) {
	stepV, stepK := 1, 8
	if o.across {
		stepV, stepK = 8, 1
	}
	for v := first; v < first+vectors; v += stepV {
		for k := 0; k < depth; k += stepK {
			visit(o.at(v, k), v-first, k)
		}
	}
}

// numbers reads some vectors of 16 bfloat16 terms.
func (o *operand) numbers(memory []byte, first, vectors int, put func(v, k int, x float32)) {
	o.chunks(first, vectors, func(at, v, k int) {
		for i := range 8 {
			x := f32(uint32(binary.LittleEndian.Uint16(memory[at+2*i:])) << 16)
			if o.across {
				put(v+i, k, x)
			} else {
				put(v, k+i, x)
			}
		}
	})
}
