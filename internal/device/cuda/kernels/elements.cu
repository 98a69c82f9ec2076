// Kernels that make an element of the output from the same elements of the
// inputs, of float32 or bf16. A block of 256 threads makes 4096 bytes.
#include "align.cuh"

// NEIGHBOURS are the elements of a thread from i on.
#define NEIGHBOURS(T, i, n) if (long i = ((long)BLOCK_X * 256 + THREAD_X) * WIDE<T>; i < (n))

// BOTH makes the entries of a kernel for both types of activations.
#define BOTH(name, PARAMETERS, ...)                                                           \
	KERNEL __launch_bounds__(256) void name##_f32 PARAMETERS(float) { name<float>(__VA_ARGS__); } \
	KERNEL __launch_bounds__(256) void name##_bf16 PARAMETERS(bf16) { name<bf16>(__VA_ARGS__); }

// y = a + b; y may be a or b. accumulate is this with y as b.
template <class T> DEVICE void add(T *y, const T *a, const T *b, long n) {
	NEIGHBOURS(T, i, n) {
		float v[WIDE<T>], w[WIDE<T>];
		get(v, a, i, n);
		get(w, b, i, n);
		UNROLL for (int j = 0; j < WIDE<T>; j++) v[j] += w[j];
		put(y, i, n, v);
	}
}
#define ADD(T) (T *y, const T *a, const T *b, long n)
BOTH(add, ADD, y, a, b, n)

KERNEL __launch_bounds__(256) void add_f64(double *y, const double *a, const double *b, long n) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i < n)
		y[i] = a[i] + b[i];
}

// y = 0 for n bytes. Only the last of an odd number of 16-bit elements is no
// whole word.
KERNEL __launch_bounds__(256) void zero(unsigned *y, long n) {
	UNROLL for (int part = 0; part < 4; part++)
		if (long i = (long)BLOCK_X * 1024 + part * 256 + THREAD_X; i < n / 4)
			y[i] = 0;
	if (n % 4 != 0 && BLOCK_X == 0 && THREAD_X == 0)
		((unsigned short *)y)[n / 2 - 1] = 0;
}

// y = g sigmoid(g) u (https://arxiv.org/abs/2002.05202, equation 6).
template <class T> DEVICE void swiglu(T *y, const T *g, const T *u, long n) {
	NEIGHBOURS(T, i, n) {
		float gate[WIDE<T>], up[WIDE<T>];
		get(gate, g, i, n);
		get(up, u, i, n);
		UNROLL for (int j = 0; j < WIDE<T>; j++) up[j] = gate[j] * sigmoid(gate[j]) * up[j];
		put(y, i, n, up);
	}
}
#define SWIGLU(T) (T *y, const T *g, const T *u, long n)
BOTH(swiglu, SWIGLU, y, g, u, n)

// With a = sigmoid(g): dg = dy u a (1 + g (1-a)), du = dy g a, y = g a u. Each may be 0,
// dg may overwrite g, du may overwrite u.
template <class T> DEVICE void swiglu_grad(T *dg, T *du, T *y, const T *g, const T *u, const T *dy, long n) {
	NEIGHBOURS(T, i, n) {
		float gate[WIDE<T>], up[WIDE<T>], d[WIDE<T>], again[WIDE<T>];
		get(gate, g, i, n);
		get(up, u, i, n);
		get(d, dy, i, n);
		UNROLL for (int j = 0; j < WIDE<T>; j++) {
			float a = sigmoid(gate[j]), v = d[j], w = gate[j];
			again[j] = w * a * up[j];
			gate[j] = v * up[j] * a * (1 + w * (1 - a));
			up[j] = v * w * a;
		}
		if (dg)
			put(dg, i, n, gate);
		if (du)
			put(du, i, n, up);
		if (y)
			put(y, i, n, again);
	}
}
#define SWIGLU_GRAD(T) (T *dg, T *du, T *y, const T *g, const T *u, const T *dy, long n)
BOTH(swiglu_grad, SWIGLU_GRAD, dg, du, y, g, u, dy, n)

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

// y = x keep scale: column j of row t draws 16 bits, low before high, of word j%8/2 of
// Philox at the counter (j/8, key[t], stream, 0) under the key seed, and is kept where
// they are limit or more: the draws of device/cpu, bit for bit. A thread makes 8 columns.
template <class T>
DEVICE void dropout(T *y, const T *x, const unsigned *key, const unsigned *seed, unsigned stream, unsigned limit, float scale, int rows, int cols) {
	int eights = (cols + 7) / 8;
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= (long)rows * eights)
		return;
	int t = i / eights, eight = i % eights;
	Words draw = philox(eight, key[t], stream, 0, seed[0], seed[1]);
	UNROLL for (int j = 0; j < 8; j++)
		if (eight * 8 + j < cols) {
			long at = (long)t * cols + eight * 8 + j;
			narrow(y[at], (draw.w[j / 2] >> 16 * (j % 2) & 0xffff) >= limit ? widen(x[at]) * scale : 0);
		}
}
#define DROPOUT(T) (T *y, const T *x, const unsigned *key, const unsigned *seed, unsigned stream, unsigned limit, float scale, int rows, int cols)
BOTH(dropout, DROPOUT, y, x, key, seed, stream, limit, scale, rows, cols)

// A mask has a bit for each column of a row, the first lowest: 1 where dropout keeps it.
// A thread makes a word of 32.
KERNEL __launch_bounds__(256) void dropout_mask(unsigned *mask, const unsigned *key, const unsigned *seed, unsigned stream, unsigned limit, int rows, int words) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= (long)rows * words)
		return;
	int t = i / words, word = i % words;
	unsigned bits = 0;
	UNROLL for (int d = 0; d < 4; d++) {
		Words draw = philox(word * 4 + d, key[t], stream, 0, seed[0], seed[1]);
		UNROLL for (int j = 0; j < 8; j++) bits |= (unsigned)((draw.w[j / 2] >> 16 * (j % 2) & 0xffff) >= limit) << (8 * d + j);
	}
	mask[i] = bits;
}

// y = scale x where the mask has a 1, else 0; y may be x. A thread makes 8 columns.
template <class T> DEVICE void keep(T *y, const T *x, const unsigned *mask, float scale, int rows, int cols) {
	int eights = (cols + 7) / 8, words = (cols + 31) / 32;
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= (long)rows * eights)
		return;
	int t = i / eights, eight = i % eights;
	unsigned bits = mask[(long)t * words + eight / 4] >> 8 * (eight % 4);
	UNROLL for (int j = 0; j < 8; j++)
		if (eight * 8 + j < cols) {
			long at = (long)t * cols + eight * 8 + j;
			narrow(y[at], bits >> j & 1 ? widen(x[at]) * scale : 0);
		}
}
#define KEEP(T) (T *y, const T *x, const unsigned *mask, float scale, int rows, int cols)
BOTH(keep, KEEP, y, x, mask, scale, rows, cols)
