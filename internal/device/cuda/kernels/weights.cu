// Sides of products in bf16: rows of `ld` elements, a multiple of 8, with 0 past
// the last column. One thread makes 8 elements.
#include "block.cuh"
#include "tensor.cuh"


// round_T: y = x rounded to the nearest bf16.
template <class T> DEVICE void round_rows(unsigned short *y, const T *x, int rows, int cols, int ld) {
	unsigned i = BLOCK_X * BLOCK_SIZE + THREAD_X, chunks = ld / 8;
	long row = i / chunks;
	int c = i % chunks * 8;
	if (row >= rows)
		return;
	const T *from = x + row * cols + c;
	float w[8];
	if (sizeof(T) == 4 && cols % 4 == 0 && c + 8 <= cols) {
		float4 a = ((const float4 *)from)[0], b = ((const float4 *)from)[1];
		w[0] = a.x, w[1] = a.y, w[2] = a.z, w[3] = a.w, w[4] = b.x, w[5] = b.y, w[6] = b.z, w[7] = b.w;
	} else {
		UNROLL for (int j = 0; j < 8; j++) w[j] = c + j < cols ? widen(from[j]) : 0;
	}
	put8(y, row * ld + c, w);
}

#define ROUND(name, T) \
	KERNEL void round_##name(unsigned short *y, const T *x, int rows, int cols, int ld) { round_rows<T>(y, x, rows, cols, ld); }
ROUND(f32, float)
ROUND(bf16, bf16)

// widen_T: y = the blocks of a frozen weight, rounded to bf16.
template <Format F> DEVICE void widen_rows(unsigned short *y, const unsigned char *x, int rows, int cols, int ld, long stride) {
	unsigned i = BLOCK_X * BLOCK_SIZE + THREAD_X, chunks = ld / 8;
	long row = i / chunks;
	int c = i % chunks * 8;
	float w[8];
	decode8<F>(w, x + min((int)row, rows - 1) * stride, c, cols, table_of<F>(THREAD_X));
	if (row < rows)
		put8(y, row * ld + c, w);
}

#define WIDEN(name, F)                                                                                       \
	KERNEL void widen_##name(unsigned short *y, const unsigned char *x, int rows, int cols, int ld, long stride) { \
		widen_rows<F>(y, x, rows, cols, ld, stride);                                                          \
	}
WIDEN(q8_0, Q8_0)
WIDEN(q4_0, Q4_0)
WIDEN(q4_1, Q4_1)
WIDEN(q5_0, Q5_0)
WIDEN(q5_1, Q5_1)
WIDEN(q4_k, Q4_K)
WIDEN(q5_k, Q5_K)
WIDEN(q6_k, Q6_K)
WIDEN(nf4, NF4)
WIDEN(int8, INT8)
