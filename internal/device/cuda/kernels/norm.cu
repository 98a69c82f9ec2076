// rmsnorm and its gradients: groups of `width` columns, normalised by
// themselves (https://arxiv.org/abs/1910.07467, equation 4). One block makes a
// group; its size, and so the order of its sums, hangs on the width alone.
#include "align.cuh"

// scale_of is 1/sqrt(mean(x^2)+eps) of the block's group.
DEVICE float scale_of(const float *x, int width, float eps, float *parts) {
	float sum = 0;
	for (int j = THREAD_X; j < width; j += BLOCK_SIZE) sum += x[j] * x[j];
	float mean = __fdiv(block_sum(sum, parts), (float)width) + eps, root;
	asm("sqrt.rn.f32 %0, %1;" : "=f"(root) : "f"(mean));
	return __fdiv(1, root);
}

KERNEL __launch_bounds__(256) void rmsnorm(float *y, const float *x, const float *w, float eps, int width) {
	__shared__ float parts[32];
	long at = (long)BLOCK_X * width;
	float s = scale_of(x + at, width, eps, parts);
	for (int j = THREAD_X; j < width; j += BLOCK_SIZE) y[at + j] = x[at + j] * s * w[j];
}

// dx = s w dy - x s^3 mean(w dy x), s the group's scale.
KERNEL __launch_bounds__(256) void rmsnorm_dx(float *dx, const float *x, const float *w, const float *dy, float eps, int width) {
	__shared__ float parts[32], more[32];
	long at = (long)BLOCK_X * width;
	float s = scale_of(x + at, width, eps, parts), sum = 0;
	for (int j = THREAD_X; j < width; j += BLOCK_SIZE) sum += w[j] * dy[at + j] * x[at + j];
	float along = s * s * s * __fdiv(block_sum(sum, more), (float)width);
	for (int j = THREAD_X; j < width; j += BLOCK_SIZE) dx[at + j] = s * (w[j] * dy[at + j]) - x[at + j] * along;
}

// scales[g] of every group, for rmsnorm_dw.
KERNEL __launch_bounds__(256) void rmsnorm_scales(float *scales, const float *x, float eps, int width) {
	__shared__ float parts[32];
	float s = scale_of(x + (long)BLOCK_X * width, width, eps, parts);
	if (THREAD_X == 0)
		scales[BLOCK_X] = s;
}

// y[N] = sums over rows of dy[rows,N] (+ y), and with x: of dy x scales[row]. A
// block of 8 warps makes 32 columns; warp w adds rows w, w+8, ..., ascending,
// with the lost bits kept (Kahan), so that thousands of rows lose nothing.
KERNEL __launch_bounds__(256) void column_sums(float *y, const float *dy, const float *x, const float *scales, int rows, int n, int accumulate) {
	__shared__ float parts[8][32];
	int lane = THREAD_X % 32, warp = THREAD_X / 32, column = BLOCK_X * 32 + lane;
	float sum = 0, lost = 0;
	if (column < n)
		for (int r = warp; r < rows; r += 8) {
			long at = (long)r * n + column;
			float v = dy[at];
			if (x)
				v *= x[at] * scales[r];
			float term = v - lost, next = sum + term;
			lost = (next - sum) - term, sum = next;
		}
	parts[warp][lane] = sum;
	__syncthreads();
	if (warp != 0 || column >= n)
		return;
	UNROLL for (int w = 1; w < 8; w++) sum += parts[w][lane];
	y[column] = accumulate ? y[column] + sum : sum;
}
