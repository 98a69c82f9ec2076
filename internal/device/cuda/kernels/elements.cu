// Kernels that make an element of the output from the same elements of the
// inputs. A block of 256 threads makes 1024 elements.
#include "align.cuh"

#define EACH(i, n)                                                            \
	UNROLL for (int part = 0; part < 4; part++)                               \
		if (long i = (long)BLOCK_X * 1024 + part * 256 + THREAD_X; i < (n))

// y = a + b; y may be a or b. accumulate is this with y as b.
KERNEL __launch_bounds__(256) void add_f32(float *y, const float *a, const float *b, long n) {
	EACH(i, n) y[i] = a[i] + b[i];
}
KERNEL __launch_bounds__(256) void add_f64(double *y, const double *a, const double *b, long n) {
	EACH(i, n) y[i] = a[i] + b[i];
}

// y = 0 for n bytes. Only the last of an odd number of 16-bit elements is no
// whole word.
KERNEL __launch_bounds__(256) void zero(unsigned *y, long n) {
	EACH(i, n / 4) y[i] = 0;
	if (n % 4 != 0 && BLOCK_X == 0 && THREAD_X == 0)
		((unsigned short *)y)[n / 2 - 1] = 0;
}

// y = g sigmoid(g) u (https://arxiv.org/abs/2002.05202, equation 6).
KERNEL __launch_bounds__(256) void swiglu(float *y, const float *g, const float *u, long n) {
	EACH(i, n) y[i] = g[i] * sigmoid(g[i]) * u[i];
}

// With a = sigmoid(g): dg = dy u a (1 + g (1-a)), du = dy g a. Either may be 0,
// dg may overwrite g, du may overwrite u.
KERNEL __launch_bounds__(256) void swiglu_grad(float *dg, float *du, const float *g, const float *u, const float *dy, long n) {
	EACH(i, n) {
		float gate = g[i], up = u[i], d = dy[i], a = sigmoid(gate);
		if (dg)
			dg[i] = d * up * a * (1 + gate * (1 - a));
		if (du)
			du[i] = d * gate * a;
	}
}

struct Words { unsigned w[4]; };

// philox is Philox4x32-10 of https://doi.org/10.1145/2063384.2063405, with the
// multipliers and key increments of its reference code (Random123).
DEVICE Words philox(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0, unsigned k1) {
	UNROLL for (int round = 0; round < 10; round++) {
		u64 a = (u64)0xD2511F53u * c0, b = (u64)0xCD9E8D57u * c2;
		unsigned d0 = (unsigned)(b >> 32) ^ c1 ^ k0, d2 = (unsigned)(a >> 32) ^ c3 ^ k1;
		c1 = (unsigned)b, c3 = (unsigned)a, c0 = d0, c2 = d2;
		k0 += 0x9E3779B9, k1 += 0xBB67AE85;
	}
	return Words{{c0, c1, c2, c3}};
}

// y = x keep/(1-P): column j of row t draws word j%4 of Philox at the counter
// (j/4, key[t], stream, 0) under the key seed, and is kept where word >= P 2^32:
// the draws of device/cpu, bit for bit. A thread makes 4 columns.
KERNEL __launch_bounds__(256) void dropout(float *y, const float *x, const unsigned *key, const unsigned *seed, unsigned stream, u64 limit,
                                           float scale, int rows, int cols) {
	int fours = (cols + 3) / 4;
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= (long)rows * fours)
		return;
	int t = i / fours, four = i % fours;
	Words draw = philox(four, key[t], stream, 0, seed[0], seed[1]);
	UNROLL for (int j = 0; j < 4; j++)
		if (four * 4 + j < cols) {
			long at = (long)t * cols + four * 4 + j;
			y[at] = draw.w[j] >= limit ? x[at] * scale : 0;
		}
}
