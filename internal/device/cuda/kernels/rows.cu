// Kernels that move whole rows by an index. One block makes a row.
#include "block.cuh"

template <class To, class From> DEVICE void copy_row(void *y, const void *x, int cols) {
	for (int c = THREAD_X; c < cols; c += BLOCK_SIZE) narrow(((To *)y)[c], widen(((const From *)x)[c]));
}

// y[n] = x[rows[n]] of C elements, from the type of x to that of y.
KERNEL __launch_bounds__(256) void gather(void *y, const void *x, const int *rows, int cols, int type, int to) {
	long size = type == TYPE_F32 ? 4 : 2, own = to == TYPE_F32 ? 4 : 2;
	const char *from = (const char *)x + rows[BLOCK_X] * (cols * size);
	char *into = (char *)y + BLOCK_X * (cols * own);
	if (to == TYPE_F32)
		type == TYPE_F32 ? copy_row<float, float>(into, from, cols) : copy_row<float, bf16>(into, from, cols);
	else
		type == TYPE_F32 ? copy_row<bf16, float>(into, from, cols) : copy_row<bf16, bf16>(into, from, cols);
}

// y[n] = w[rows[n]] of a frozen weight whose elements share scales; a row has
// stride bytes.
template <Format F> DEVICE void gather_blocks(void *y, const unsigned char *w, const int *rows, int cols, long stride, int to) {
	const unsigned char *from = w + rows[BLOCK_X] * stride;
	long first = (long)BLOCK_X * cols;
	float table = table_of<F>(THREAD_X);
	for (int base = 0; base < cols; base += BLOCK_SIZE * 8) {
		int c = base + THREAD_X * 8;
		float values[8];
		decode8<F>(values, from, min(c, (cols - 1) / 8 * 8), cols, table);
		if (to == TYPE_F32)
			put((float *)y + first, c, cols, values);
		else
			put((bf16 *)y + first, c, cols, values);
	}
}

#define GATHER(name, F)                                                                                                           \
	KERNEL __launch_bounds__(256) void gather_##name(void *y, const unsigned char *w, const int *rows, int cols, long stride, int to) { \
		gather_blocks<F>(y, w, rows, cols, stride, to);                                                                               \
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
KERNEL __launch_bounds__(256) void put_rows_f32(float *y, const float *x, const int *rows, int cols) {
	copy_row<float, float>(y + (long)rows[BLOCK_X] * cols, x + (long)BLOCK_X * cols, cols);
}
KERNEL __launch_bounds__(256) void put_rows_bf16(bf16 *y, const bf16 *x, const int *rows, int cols) {
	copy_row<bf16, bf16>(y + (long)rows[BLOCK_X] * cols, x + (long)BLOCK_X * cols, cols);
}

// y[rows[n]] += x[n] for n ascending. The block of the first n with a row adds
// all of them, so that no two blocks write one row.
template <class Y, class X> DEVICE void add_rows(Y *y, const X *x, const int *rows, int N, int cols) {
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
		float sum = c < cols ? widen(y[(long)row * cols + c]) : 0;
		for (int n = own; n < N; n += 32) {
			unsigned same = vote(n + lane < N && rows[n + lane] == row);
			for (; same; same &= same - 1) {
				int m = n + __builtin_ctz(same);
				if (c < cols)
					sum += widen(x[(long)m * cols + c]);
			}
		}
		if (c < cols)
			narrow(y[(long)row * cols + c], sum);
	}
}

#define ADD_ROWS(name, Y, X) \
	KERNEL __launch_bounds__(256) void add_rows_##name(Y *y, const X *x, const int *rows, int N, int cols) { add_rows(y, x, rows, N, cols); }
ADD_ROWS(f32, float, float)
ADD_ROWS(bf16, bf16, bf16)
ADD_ROWS(wide, float, bf16)
