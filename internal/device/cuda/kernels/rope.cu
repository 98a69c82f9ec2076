// Rotary positions (https://arxiv.org/abs/2104.09864, equation 34).
#include "align.cuh"

// sin_cos by the Taylor series, after the nearest multiple of pi/2 is taken off
// in two parts: within some 1e-15 up to angles of 2^20.
DEVICE void sin_cos(double a, double &sine, double &cosine) {
	const double magic = 6755399441055744.0; // 1.5 * 2^52: brings the nearest integer into the low bits
	double shifted = __builtin_fma(a, 0.63661977236758134308, magic); // 2/pi
	unsigned quarter = (unsigned)bits_of(shifted);
	double k = shifted - magic;
	double r = __builtin_fma(-k, 1.5707963267948965580, a);
	r = __builtin_fma(-k, 6.1232339957367658860e-17, r);
	double z = r * r;
	double s = 1 / 355687428096000.0; // 1/17!, then the others
	s = __builtin_fma(s, -z, 1 / 1307674368000.0);
	s = __builtin_fma(s, -z, 1 / 6227020800.0);
	s = __builtin_fma(s, -z, 1 / 39916800.0);
	s = __builtin_fma(s, -z, 1 / 362880.0);
	s = __builtin_fma(s, -z, 1 / 5040.0);
	s = __builtin_fma(s, -z, 1 / 120.0);
	s = __builtin_fma(s, -z, 1 / 6.0);
	s = __builtin_fma(s, -z, 1.0) * r;
	double c = 1 / 20922789888000.0; // 1/16!
	c = __builtin_fma(c, -z, 1 / 87178291200.0);
	c = __builtin_fma(c, -z, 1 / 479001600.0);
	c = __builtin_fma(c, -z, 1 / 3628800.0);
	c = __builtin_fma(c, -z, 1 / 40320.0);
	c = __builtin_fma(c, -z, 1 / 720.0);
	c = __builtin_fma(c, -z, 1 / 24.0);
	c = __builtin_fma(c, -z, 1 / 2.0);
	c = __builtin_fma(c, -z, 1.0);
	sine = quarter & 1 ? c : s, cosine = quarter & 1 ? s : c;
	if (quarter & 2)
		sine = -sine;
	if ((quarter + 1) & 2)
		cosine = -cosine;
}

// y[T,D]: the cosines of pos*frequency[i], i < half, then the sines. Angles are
// in double precision: at position 9000 float32 would lose three digits.
KERNEL __launch_bounds__(256) void rope_table(float *y, const int *pos, const double *frequency, int half, long n) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= n)
		return;
	int t = i / half, j = i % half;
	double s, c;
	sin_cos(pos[t] * frequency[j], s, c);
	y[(long)t * 2 * half + j] = (float)c;
	y[(long)t * 2 * half + half + j] = (float)s;
}

// turn turns WIDE pairs (a, b) by sign times the angles of a row of the table from pair
// j on.
template <int N> DEVICE void turn(float (&a)[N], float (&b)[N], const float *table, int j, int half, float sign) {
	float c[N], s[N];
	get(c, table, j, half);
	get(s, table + half, j, half);
	UNROLL for (int k = 0; k < N; k++) {
		float first = a[k], second = b[k], sine = sign * s[k];
		a[k] = __builtin_fmaf(first, c[k], -(second * sine)); // in this order wherever it is used
		b[k] = __builtin_fmaf(second, c[k], first * sine);
	}
}

// rope turns the pairs (j, j+half) of each head by sign times the table's
// angles. y may be x. A thread turns WIDE neighbours of n pairs.
template <class T> DEVICE void rope(T *y, const T *x, const float *table, int cols, int half, float sign, long n) {
	constexpr int N = WIDE<T>;
	int chunks = (half + N - 1) / N, heads = cols / (2 * half);
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= n / half * chunks)
		return;
	int j = i % chunks * N, head = i / chunks % heads;
	long t = i / chunks / heads;
	x += t * cols + head * 2 * half, y += t * cols + head * 2 * half, table += t * 2 * half;
	float a[N], b[N];
	get(a, x, j, half);
	get(b, x + half, j, half);
	turn(a, b, table, j, half, sign);
	put(y, j, half, a);
	put(y + half, j, half, b);
}

// rope_cache is y = rope of the heads of q[T,heads], and the rows slot[t] of keys and
// values: rope of those of k[T,kv], and those of v as they are. y may be q. A thread
// makes WIDE neighbours of both halves of a head.
template <class T> DEVICE void rope_cache(T *y, T *keys, T *values, const T *q, const T *k, const T *v, const float *table, const int *slot,
                                          int heads, int kv, int half, int rows) {
	constexpr int N = WIDE<T>;
	int chunks = (half + N - 1) / N, all = heads + 2 * kv;
	long i = (long)BLOCK_X * 256 + THREAD_X, t = i / chunks / all;
	if (t >= rows)
		return;
	int j = i % chunks * N, head = i / chunks % all, own = head < heads ? head : (head - heads) % kv;
	bool cached = head >= heads, value = head >= heads + kv;
	const T *x = (value ? v : cached ? k : q) + (t * (cached ? kv : heads) + own) * 2 * half;
	T *to = (value ? values : cached ? keys : y) + (cached ? (long)slot[t] * kv : t * heads) * 2 * half + (long)own * 2 * half;
	float a[N], b[N];
	get(a, x, j, half);
	get(b, x + half, j, half);
	if (!value)
		turn(a, b, table + t * 2 * half, j, half, 1);
	put(to, j, half, a);
	put(to + half, j, half, b);
}

#define ROPE(name, T)                                                                                                         \
	KERNEL __launch_bounds__(256) void rope_##name(T *y, const T *x, const float *table, int cols, int half, float sign, long n) { \
		rope(y, x, table, cols, half, sign, n);                                                                               \
	}                                                                                                                         \
	KERNEL __launch_bounds__(256) void rope_cache_##name(T *y, T *keys, T *values, const T *q, const T *k, const T *v, const float *table, \
	                                                     const int *slot, int heads, int kv, int half, int rows) {            \
		rope_cache(y, keys, values, q, k, v, table, slot, heads, kv, half, rows);                                             \
	}
ROPE(f32, float)
ROPE(bf16, bf16)
