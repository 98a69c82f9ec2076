// Tensor cores in bfloat16 with float32 sums (mma.sync.m16n8k16), and the tiles
// of shared memory that feed them without bank conflicts. The layouts of
// fragments are those of the PTX manual, "Matrix Fragments for mma.m16n8k16".
#pragma once
#include "align.cuh"

// A tile is lines of S chunks of 8 bf16. Chunk c of a line stands where the 8
// chunks that one phase of ldmatrix reads, or that one phase of cp.async
// writes, lie in 8 different groups of banks.
template <int S> DEVICE unsigned tile_at(unsigned line, unsigned c) {
	constexpr unsigned mask = (S < 8 ? S : 8) - 1, per = S < 8 ? 8 / S : 1;
	return (line * S + (c ^ ((line / per) & mask))) * 16;
}

// copy16 starts a copy of 16 bytes into shared memory; zeros where there is
// nothing to copy.
DEVICE void copy16(unsigned to, const void *from, bool there) {
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}
DEVICE void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

DEVICE void store16(unsigned to, unsigned a, unsigned b, unsigned c, unsigned d) {
	asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}

DEVICE void load4(unsigned (&r)[4], unsigned at) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
DEVICE void load4_turned(unsigned (&r)[4], unsigned at) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}

// left_fragment is the left side's 16 x 16 from row `row` and sum index k. Its
// lines are rows of S chunks along k, or, if ACROSS, k of S chunks of rows.
template <int S, bool ACROSS> DEVICE void left_fragment(unsigned (&a)[4], unsigned tile, unsigned row, unsigned k, unsigned lane) {
	if (ACROSS)
		load4_turned(a, tile + tile_at<S>(k + (lane & 7) + ((lane >> 4) << 3), row / 8 + ((lane >> 3) & 1)));
	else
		load4(a, tile + tile_at<S>(row + (lane & 15), k / 8 + (lane >> 4)));
}

// right_fragments are the right side's 16 x 8 for columns `col` (b[0], b[1]) and
// col+8 (b[2], b[3]).
template <int S, bool ACROSS> DEVICE void right_fragments(unsigned (&b)[4], unsigned tile, unsigned col, unsigned k, unsigned lane) {
	if (ACROSS)
		load4_turned(b, tile + tile_at<S>(k + (lane & 15), col / 8 + (lane >> 4)));
	else
		load4(b, tile + tile_at<S>(col + (lane & 7) + ((lane >> 4) << 3), k / 8 + ((lane >> 3) & 1)));
}

// multiply adds a 16 x 16 times 16 x 8 to c. Lane 4g+q holds of c: columns 2q
// and 2q+1 of rows g (c[0], c[1]) and g+8 (c[2], c[3]).
DEVICE void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
	             : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
	             : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// put8 rounds 8 neighbours to bf16 and stores them at a multiple of 8.
DEVICE void put8(unsigned short *y, long at, const float (&w)[8]) {
	*(uint4 *)(y + at) = uint4{bf16_pair(w[0], w[1]), bf16_pair(w[2], w[3]), bf16_pair(w[4], w[5]), bf16_pair(w[6], w[7])};
}

// no_fma is a*b rounded to float32, whatever is added to it.
DEVICE float no_fma(float a, float b) {
	float r;
	asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
	return r;
}
