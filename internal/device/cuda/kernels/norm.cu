// rmsnorm and its gradients: groups of `width` columns, normalised by
// themselves (https://arxiv.org/abs/1910.07467, equation 4). One block makes a
// group; its size, and so the order of its sums, hangs on the width alone.
#include "align.cuh"

// scale_of is 1/sqrt(mean(x^2)+eps) of the block's group, of which read gives a
// thread's elements from j on.
template <class T, class Read> DEVICE float scale_of(Read read, int width, float eps, float *parts) {
	float sum = 0;
	for (int j = THREAD_X * WIDE<T>; j < width; j += BLOCK_SIZE * WIDE<T>) {
		float v[WIDE<T>];
		read(v, j);
		UNROLL for (int k = 0; k < WIDE<T>; k++) sum += v[k] * v[k];
	}
	float mean = __fdiv(block_sum(sum, parts), (float)width) + eps, root;
	asm("sqrt.rn.f32 %0, %1;" : "=f"(root) : "f"(mean));
	return __fdiv(1, root);
}

template <class T> DEVICE float scale_of(const T *x, int width, float eps, float *parts) {
	return scale_of<T>([&](float (&v)[WIDE<T>], int j) { get(v, x, j, width); }, width, eps, parts);
}

// normalise is y = s x w of the block's group.
template <class T> DEVICE void normalise(T *y, const T *x, const float *w, float s, int width) {
	for (int j = THREAD_X * WIDE<T>; j < width; j += BLOCK_SIZE * WIDE<T>) {
		float v[WIDE<T>], weight[WIDE<T>];
		get(v, x, j, width);
		get(weight, w, j, width);
		UNROLL for (int k = 0; k < WIDE<T>; k++) v[k] = v[k] * s * weight[k];
		put(y, j, width, v);
	}
}

template <class T> DEVICE void rmsnorm(T *y, const T *x, const float *w, float eps, int width) {
	__shared__ float parts[32];
	long at = (long)BLOCK_X * width;
	normalise(y + at, x + at, w, scale_of(x + at, width, eps, parts), width);
}

// add_rmsnorm is sum = a + b, as add rounds it, and y = rmsnorm of that. Each of sum and
// y may be a or b, not the same one: a thread reads a group's elements before it writes
// them.
template <class T> DEVICE void add_rmsnorm(T *sum, T *y, const T *a, const T *b, const float *w, float eps, int width) {
	__shared__ float parts[32];
	long at = (long)BLOCK_X * width;
	sum += at, y += at, a += at, b += at;
	auto add = [&](float (&v)[WIDE<T>], int j) {
		float other[WIDE<T>];
		get(v, a, j, width);
		get(other, b, j, width);
		UNROLL for (int k = 0; k < WIDE<T>; k++) {
			T rounded;
			narrow(rounded, v[k] + other[k]);
			v[k] = widen(rounded);
		}
		put(sum, j, width, v);
	};
	normalise(y, sum, w, scale_of<T>(add, width, eps, parts), width);
}

// dx = s w dy - x s^3 mean(w dy x), s the group's scale.
template <class T> DEVICE void rmsnorm_dx(T *dx, const T *x, const float *w, const T *dy, float eps, int width) {
	__shared__ float parts[32], more[32];
	long at = (long)BLOCK_X * width;
	float s = scale_of(x + at, width, eps, parts), sum = 0;
	auto each = [&](auto use) {
		for (int j = THREAD_X * WIDE<T>; j < width; j += BLOCK_SIZE * WIDE<T>) {
			float v[WIDE<T>], weight[WIDE<T>], d[WIDE<T>];
			get(v, x + at, j, width);
			get(weight, w, j, width);
			get(d, dy + at, j, width);
			use(j, v, weight, d);
		}
	};
	each([&](int, float (&v)[WIDE<T>], float (&weight)[WIDE<T>], float (&d)[WIDE<T>]) {
		UNROLL for (int k = 0; k < WIDE<T>; k++) sum += weight[k] * d[k] * v[k];
	});
	float along = s * s * s * __fdiv(block_sum(sum, more), (float)width);
	each([&](int j, float (&v)[WIDE<T>], float (&weight)[WIDE<T>], float (&d)[WIDE<T>]) {
		UNROLL for (int k = 0; k < WIDE<T>; k++) d[k] = s * (weight[k] * d[k]) - v[k] * along;
		put(dx + at, j, width, d);
	});
}

// scales[g] of every group, for rmsnorm_dw.
template <class T> DEVICE void rmsnorm_scales(float *scales, const T *x, float eps, int width) {
	__shared__ float parts[32];
	float s = scale_of(x + (long)BLOCK_X * width, width, eps, parts);
	if (THREAD_X == 0)
		scales[BLOCK_X] = s;
}

// y[N] = sums over rows of dy[rows,N] (+ y), and with x: of dy x scales[row]. A
// block of 8 warps makes 32 columns; warp w adds rows w, w+8, ..., ascending,
// with the lost bits kept (Kahan), so that thousands of rows lose nothing.
template <class T> DEVICE void column_sums(float *y, const T *dy, const T *x, const float *scales, int rows, int n, int accumulate) {
	__shared__ float parts[8][32];
	int lane = THREAD_X % 32, warp = THREAD_X / 32, column = BLOCK_X * 32 + lane;
	float sum = 0, lost = 0;
	if (column < n)
		for (int r = warp; r < rows; r += 8) {
			long at = (long)r * n + column;
			float v = widen(dy[at]);
			if (x)
				v *= widen(x[at]) * scales[r];
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

#define NORMS(name, T)                                                                                                     \
	KERNEL __launch_bounds__(256) void rmsnorm_##name(T *y, const T *x, const float *w, float eps, int width) {                \
		rmsnorm(y, x, w, eps, width);                                                                                      \
	}                                                                                                                      \
	KERNEL __launch_bounds__(256) void add_rmsnorm_##name(T *sum, T *y, const T *a, const T *b, const float *w, float eps, int width) { \
		add_rmsnorm(sum, y, a, b, w, eps, width);                                                                          \
	}                                                                                                                      \
	KERNEL __launch_bounds__(256) void rmsnorm_dx_##name(T *dx, const T *x, const float *w, const T *dy, float eps, int width) { \
		rmsnorm_dx(dx, x, w, dy, eps, width);                                                                              \
	}                                                                                                                      \
	KERNEL __launch_bounds__(256) void rmsnorm_scales_##name(float *scales, const T *x, float eps, int width) {                \
		rmsnorm_scales(scales, x, eps, width);                                                                             \
	}                                                                                                                      \
	KERNEL __launch_bounds__(256) void column_sums_##name(float *y, const T *dy, const T *x, const float *scales, int rows,    \
	                                                      int n, int accumulate) {                                         \
		column_sums(y, dy, x, scales, rows, n, accumulate);                                                                \
	}
NORMS(f32, float)
NORMS(bf16, bf16)
