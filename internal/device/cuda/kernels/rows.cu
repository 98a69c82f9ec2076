// Kernels that move whole rows by an index. One block makes a row.
#include "align.cuh"

// y[n] = x[rows[n]] of C elements, widened from the type of x.
KERNEL __launch_bounds__(256) void gather(float *y, const void *x, const int *rows, int cols, int type) {
	long from = (long)rows[BLOCK_X] * cols, to = (long)BLOCK_X * cols;
	if (type == TYPE_F32)
		for (int c = THREAD_X; c < cols; c += BLOCK_SIZE) y[to + c] = ((const float *)x)[from + c];
	else if (type == TYPE_BF16)
		for (int c = THREAD_X; c < cols; c += BLOCK_SIZE) y[to + c] = from_bf16(((const unsigned short *)x)[from + c]);
	else
		for (int c = THREAD_X; c < cols; c += BLOCK_SIZE) y[to + c] = from_f16(((const unsigned short *)x)[from + c]);
}

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
