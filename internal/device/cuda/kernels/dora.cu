// Weight-decomposed adaptation (https://arxiv.org/abs/2402.09353): the lengths of
// the rows of W + scale B A, and scaling by magnitudes over lengths.
#include "align.cuh"

DEVICE double root(double x) {
	double r;
	asm("sqrt.rn.f64 %0, %1;" : "=d"(r) : "d"(x));
	return r;
}

// n[N] = sqrt(squares + 2 scale b p + scale^2 b g b') for each row b of B[N,R],
// p = A W' [R,N] and g = A A' [R,R], in float64. A thread makes a row.
KERNEL __launch_bounds__(256) void dora_norm(float *n, const double *squares, const float *b, const float *p, const float *g,
                                             double scale, int rows, int rank) {
	int i = BLOCK_X * 256 + THREAD_X;
	if (i >= rows)
		return;
	const float *row = b + (long)i * rank;
	double cross = 0, own = 0;
	for (int k = 0; k < rank; k++) {
		double sum = 0;
		for (int l = 0; l < rank; l++) sum += (double)row[l] * (double)g[k * rank + l];
		cross += (double)row[k] * (double)p[(long)k * rows + i];
		own += (double)row[k] * sum;
	}
	double sum = squares[i] + 2 * scale * cross + scale * scale * own;
	n[i] = (float)root(sum > 0 ? sum : 0);
}

// y[T,N] = z (m/n - shift) (+ bias), by columns; m/n is 0 where n is. A block
// makes 256 columns of a row.
template <class T> DEVICE void dora_scale(T *y, const T *z, const float *m, const float *n, const float *bias, float shift, int cols) {
	int j = BLOCK_Y * 256 + THREAD_X;
	if (j >= cols)
		return;
	// One rounding of the difference: m and n are close.
	float by = n[j] == 0 ? -shift : (m[j] - shift * n[j]) / n[j];
	long at = (long)BLOCK_X * cols + j;
	float v = widen(z[at]) * by;
	narrow(y[at], bias ? v + bias[j] : v);
}

// dm[N] = sums over rows of dy z, by n (+ dm), with the lost bits kept (Kahan). A
// block of 8 warps makes 32 columns; warp w adds rows w, w+8, ..., ascending.
template <class T> DEVICE void dora_dm(float *dm, const T *z, const float *n, const T *dy, int rows, int cols, int accumulate) {
	__shared__ float parts[8][32];
	int lane = THREAD_X % 32, warp = THREAD_X / 32, column = BLOCK_X * 32 + lane;
	float sum = 0, lost = 0;
	if (column < cols)
		for (int r = warp; r < rows; r += 8) {
			long at = (long)r * cols + column;
			float term = widen(dy[at]) * widen(z[at]) - lost, next = sum + term;
			lost = (next - sum) - term, sum = next;
		}
	parts[warp][lane] = sum;
	__syncthreads();
	if (warp != 0 || column >= cols)
		return;
	UNROLL for (int w = 1; w < 8; w++) sum += parts[w][lane];
	sum = n[column] == 0 ? 0 : sum / n[column];
	dm[column] = accumulate ? dm[column] + sum : sum;
}

#define DORA(name, T)                                                                                                          \
	KERNEL __launch_bounds__(256) void dora_scale_##name(T *y, const T *z, const float *m, const float *n, const float *bias, \
	                                                     float shift, int cols) {                                          \
		dora_scale(y, z, m, n, bias, shift, cols);                                                                             \
	}                                                                                                                              \
	KERNEL __launch_bounds__(256) void dora_dm_##name(float *dm, const T *z, const float *n, const T *dy, int rows, int cols, \
	                                                  int accumulate) {                                                       \
		dora_dm(dm, z, n, dy, rows, cols, accumulate);                                                                         \
	}
DORA(f32, float)
DORA(bf16, bf16)
