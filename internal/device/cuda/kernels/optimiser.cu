// Kernels on the optimiser's one flat buffer.
#include "align.cuh"

// parts[b] = sum of x^2 over elements [4096 b, 4096 (b+1)), in one order;
// vec_sum adds the parts.
KERNEL __launch_bounds__(256) void sum_squares(double *parts, const float *x, long n) {
	__shared__ double sums[32];
	double sum = 0;
	UNROLL for (int k = 0; k < 16; k++) {
		long i = (long)BLOCK_X * 4096 + k * 256 + THREAD_X;
		double v = i < n ? x[i] : 0;
		sum += v * v;
	}
	sum = block_sum(sum, sums);
	if (THREAD_X == 0)
		parts[BLOCK_X] = sum;
}

// adamw: algorithm 2 of https://arxiv.org/abs/1711.05101, the schedule in the
// learning rate. control is clip scale, learning rate, 1-b1^t, 1-b2^t; a clip
// scale that is not finite leaves everything untouched. Complements of the betas
// come as arguments: 1-b2 in float32 would lose four digits.
KERNEL __launch_bounds__(256) void adamw(float *p, float *m, float *v, const float *g, const double *control, float beta1, float beta2,
                                         float complement1, float complement2, float eps, double decay, long n) {
	double scale = control[0];
	if ((bits_of(scale) >> 52 & 0x7ff) == 0x7ff)
		return;
	float clip = (float)scale, step = (float)(control[1] / control[2]), decayed = (float)(control[1] * decay);
	float unbias = (float)(1 / control[3]);
	UNROLL for (int part = 0; part < 4; part++) {
		long i = (long)BLOCK_X * 1024 + part * 256 + THREAD_X;
		if (i >= n)
			break;
		float x = g[i] * clip, root;
		float first = beta1 * m[i] + complement1 * x, second = beta2 * v[i] + complement2 * x * x;
		asm("sqrt.rn.f32 %0, %1;" : "=f"(root) : "f"(second * unbias));
		m[i] = first, v[i] = second;
		p[i] -= decayed * p[i] + step * __fdiv(first, root + eps);
	}
}
