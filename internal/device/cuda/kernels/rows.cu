// Kernels that move whole rows by an index. One block makes a row.
#include "block.cuh"

// y[n] = x[rows[n]] of C elements, widened from the type of x.
KERNEL __launch_bounds__(256) void gather(float *y, const void *x, const int *rows, int cols, int type) {
	long from = (long)rows[BLOCK_X] * cols, to = (long)BLOCK_X * cols;
	if (type == TYPE_F32)
		for (int c = THREAD_X; c < cols; c += BLOCK_SIZE) y[to + c] = ((const float *)x)[from + c];
	else
		for (int c = THREAD_X; c < cols; c += BLOCK_SIZE) y[to + c] = from_bf16(((const unsigned short *)x)[from + c]);
}

// y[n] = w[rows[n]] of a frozen weight whose elements share scales; a row has
// stride bytes.
template <Format F> DEVICE void gather_blocks(float *y, const unsigned char *w, const int *rows, int cols, long stride) {
	const unsigned char *from = w + rows[BLOCK_X] * stride;
	float *to = y + (long)BLOCK_X * cols, table = table_of<F>(THREAD_X);
	for (int base = 0; base < cols; base += BLOCK_SIZE * 8) {
		int c = base + THREAD_X * 8;
		float values[8];
		decode8<F>(values, from, min(c, (cols - 1) / 8 * 8), cols, table);
		UNROLL for (int j = 0; j < 8; j++)
			if (c + j < cols)
				to[c + j] = values[j];
	}
}

#define GATHER(name, F)                                                                                                           \
	KERNEL __launch_bounds__(256) void gather_##name(float *y, const unsigned char *w, const int *rows, int cols, long stride) { \
		gather_blocks<F>(y, w, rows, cols, stride);                                                                               \
	}
GATHER(q8_0, Q8_0)
GATHER(q4_0, Q4_0)
GATHER(q4_1, Q4_1)
GATHER(q5_0, Q5_0)
GATHER(q5_1, Q5_1)
GATHER(q4_k, Q4_K)
GATHER(q5_k, Q5_K)
GATHER(q6_k, Q6_K)
GATHER(nf4, NF4)
GATHER(int8, INT8)

// y[rows[n]] = x[n]; the other rows of y stay.
KERNEL __launch_bounds__(256) void put_rows(float *y, const float *x, const int *rows, int cols) {
	long to = (long)rows[BLOCK_X] * cols, from = (long)BLOCK_X * cols;
	for (int c = THREAD_X; c < cols; c += BLOCK_SIZE) y[to + c] = x[from + c];
}

// y[rows[n]] += x[n] for n ascending. The block of the first n with a row adds
// all of them, so that no two blocks write one row.
KERNEL __launch_bounds__(256) void add_rows(float *y, const float *x, const int *rows, int N, int cols) {
	__shared__ unsigned earlier[8];
	int own = BLOCK_X, row = rows[own], lane = THREAD_X % 32;
	bool seen = false;
	for (int n = THREAD_X; n < own; n += BLOCK_SIZE) seen = seen || rows[n] == row;
	unsigned any = vote(seen);
	if (lane == 0)
		earlier[THREAD_X / 32] = any;
	__syncthreads();
	any = 0;
	for (int w = 0; w < BLOCK_SIZE / 32; w++) any |= earlier[w];
	if (any)
		return;
	for (int base = 0; base < cols; base += BLOCK_SIZE) {
		int c = base + THREAD_X;
		float sum = c < cols ? y[(long)row * cols + c] : 0;
		for (int n = own; n < N; n += 32) {
			unsigned same = vote(n + lane < N && rows[n + lane] == row);
			for (; same; same &= same - 1) {
				int m = n + __builtin_ctz(same);
				if (c < cols)
					sum += x[(long)m * cols + c];
			}
		}
		if (c < cols)
			y[(long)row * cols + c] = sum;
	}
}
