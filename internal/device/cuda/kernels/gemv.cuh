// Products of up to 8 (gemv.cu) or 16 (gemv16.cu) rows, as decoding makes them: y =
// alpha (x W' + u v') + bias (+ y). The time goes into reading W, once, in the type
// that it is stored in. Sums and roundings are those of gemm.cu, bit for bit: 16
// terms at a time in ascending order, on tensor cores, which have 16 rows.
//
// A warp makes 8 columns. Lane 4g+q reads 8 neighbours of column g, and of rows g and
// g+8 of x, 32 terms at a time, and the lanes of a quad exchange them for the fragments.
#pragma once
#include "block.cuh"
#include "tensor.cuh"

// exchange swaps b of a lane with a of the lane that differs in `mask`; the one
// with the bit gives a. Values, no references: a choice between references is
// one between addresses, and sends an array to memory.
DEVICE void exchange(unsigned &a, unsigned &b, bool high, int mask) {
	unsigned x = a, y = b, got = across(high ? x : y, mask);
	a = high ? got : x;
	b = high ? y : got;
}

// turn gives word q of lane s of the quad to word s of lane q.
DEVICE void turn(unsigned (&w)[4], unsigned q) {
	exchange(w[0], w[1], q & 1, 1);
	exchange(w[2], w[3], q & 1, 1);
	exchange(w[0], w[2], q & 2, 2);
	exchange(w[1], w[3], q & 2, 2);
}

// words8 is what fetch8 has read in bf16, or zeros.
template <Format F> DEVICE void words8(unsigned (&w)[4], const unsigned (&raw)[WORDS<F>], int k, int cols, float table, bool there) {
	if constexpr (F == BF16) {
		UNROLL for (int i = 0; i < 4; i++) w[i] = there ? raw[i] : 0;
	} else {
		float f[8];
		unpack8<F>(f, raw, k, cols, table);
		UNROLL for (int i = 0; i < 4; i++) w[i] = there ? bf16_pair(f[2 * i], f[2 * i + 1]) : 0;
	}
}

// read8 reads 8 neighbours, or zeros.
DEVICE void read8(unsigned (&w)[4], const unsigned short *at, bool there) {
	uint4 v = {0, 0, 0, 0};
	if (there)
		v = *(const uint4 *)at;
	w[0] = v.x, w[1] = v.y, w[2] = v.z, w[3] = v.w;
}

// add32 adds 32 terms of R times 8 rows.
template <int R> DEVICE void add32(float (&sum)[4], unsigned (&x)[R][4], unsigned (&w)[4], unsigned q) {
	UNROLL for (int r = 0; r < R; r++) turn(x[r], q);
	turn(w, q);
	UNROLL for (int i = 0; i < 4; i += 2) {
		unsigned a[4] = {x[0][i], R > 1 ? x[R - 1][i] : 0, x[0][i + 1], R > 1 ? x[R - 1][i + 1] : 0};
		multiply(sum, a, w[i], w[i + 1]);
	}
}

template <class T> DEVICE void add_to(T &y, float s, bool accumulate) { narrow(y, accumulate ? widen(y) + s : s); }

// AHEAD are the reads of a weight under way in a lane: a turn adds what the one before
// has read. Otherwise NVIDIA's translator puts each read in front of its use, and the
// warp waits for memory again and again. Registers bound it.
template <Format F, int R> constexpr int AHEAD = F == NF4 ? 16 / R : R > 1 && (F == Q6_K || F == Q5_0 || F == INT8) ? 4 : 8;

template <Format F, int R>
DEVICE void few_rows(void *y, const unsigned short *x, const unsigned char *w, const unsigned short *u, const unsigned short *v,
                     const float *bias, int ldx, long stride, int ldu, int ldy, int M, int N, int K, int K2, float alpha, int accumulate, int split, int type) {
	constexpr int A = AHEAD<F, R>;
	unsigned lane = THREAD_X % 32, g = lane / 4, q = lane % 4;
	int col = (BLOCK_X * (BLOCK_SIZE / 32) + THREAD_X / 32) * 8;
	if (col >= N)
		return;
	int mine = min(col + (int)g, N - 1);
	const unsigned char *row = w + mine * stride;
	const unsigned short *xr = x + (long)g * ldx;
	float table = table_of<F>(lane), sum[4] = {0, 0, 0, 0};
	bool inside[R];
	UNROLL for (int r = 0; r < R; r++) inside[r] = (int)g + 8 * r < M;
	int from = BLOCK_Y * split, to = min(K, from + split); // as in gemm.cu: part BLOCK_Y of the sum
	int last = (to - 1) / 8 * 8;
	unsigned raw[A][WORDS<F>], left[A][R][4];
	auto fetch = [&](int k) __attribute__((always_inline)) {
		UNROLL for (int i = 0; i < A; i++) {
			int t = min(k + 32 * i + 8 * (int)q, last);
			fetch8<F>(raw[i], row, t, to);
			UNROLL for (int r = 0; r < R; r++) fetch8<BF16>(left[i][r], (const unsigned char *)(inside[r] ? xr + (long)8 * r * ldx : x), t, to);
		}
	};
	if (from < to)
		fetch(from);
	for (int k = from; k < to; k += 32 * A) {
		unsigned now[A][WORDS<F>], a[A][R][4];
		UNROLL for (int i = 0; i < A; i++) {
			UNROLL for (int e = 0; e < WORDS<F>; e++) now[i][e] = raw[i][e];
			UNROLL for (int r = 0; r < R; r++)
				UNROLL for (int e = 0; e < 4; e++) a[i][r][e] = left[i][r][e];
		}
		fetch(k + 32 * A);
		UNROLL for (int i = 0; i < A; i++) {
			int t = k + 32 * i + 8 * (int)q;
			unsigned b[4];
			words8<F>(b, now[i], min(t, last), to, table, t < to);
			UNROLL for (int r = 0; r < R; r++)
				UNROLL for (int e = 0; e < 4; e++) a[i][r][e] = inside[r] && t < to ? a[i][r][e] : 0;
			add32<R>(sum, a[i], b, q);
		}
	}
	for (int k = 8 * (int)q; k < K2 + 8 * (int)q; k += 32) {
		unsigned a[R][4], b[4];
		UNROLL for (int r = 0; r < R; r++) read8(a[r], u + ((long)g + 8 * r) * ldu + k, inside[r] && k < K2);
		read8(b, v + (long)mine * ldu + k, k < K2);
		add32<R>(sum, a, b, q);
	}
	UNROLL for (int r = 0; r < R; r++)
		UNROLL for (int e = 0; e < 2; e++) {
			int c = col + 2 * q + e;
			if (!inside[r] || c >= N)
				continue;
			float s = __builtin_fmaf(sum[2 * r + e], alpha, bias ? bias[c] : 0);
			long at = ((long)BLOCK_Y * M + g + 8 * r) * ldy + c;
			if (type == TYPE_F32)
				add_to(((float *)y)[at], s, accumulate);
			else
				add_to(((bf16 *)y)[at], s, accumulate);
		}
}

// few_columns is few_rows of up to 8 rows where the columns are too few to keep a card
// busy with a warp each: the warps of a block have 8 columns together. Each has read, and
// laid out for the tensor core, a turn of its own; the sums go from one to the next
// through shared memory, so that terms are added in the order of few_rows.
template <Format F>
DEVICE void few_columns(void *y, const unsigned short *x, const unsigned char *w, const unsigned short *u, const unsigned short *v,
                        const float *bias, int ldx, long stride, int ldu, int ldy, int M, int N, int K, int K2, float alpha, int accumulate, int type) {
	constexpr int A = 4, TURN = 32 * A, WARPS = 4; // four blocks on a multiprocessor
	__shared__ float4 carried[32];
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32, g = lane / 4, q = lane % 4;
	int col = BLOCK_X * 8, mine = min(col + (int)g, N - 1), last = (K - 1) / 8 * 8;
	bool inside = (int)g < M;
	const unsigned char *row = w + mine * stride, *xr = (const unsigned char *)(inside ? x + (long)g * ldx : x);
	float table = table_of<F>(lane), sum[4] = {0, 0, 0, 0};
	unsigned raw[A][WORDS<F>], left[A][4];
	auto fetch = [&](int k) __attribute__((always_inline)) {
		UNROLL for (int i = 0; i < A; i++) {
			int t = min(k + 32 * i + 8 * (int)q, last);
			fetch8<F>(raw[i], row, t, K);
			fetch8<BF16>(left[i], xr, t, K);
		}
	};
	fetch(TURN * warp);
	for (int first = 0; first < K; first += WARPS * TURN) {
		int k = first + TURN * warp;
		unsigned a[A][1][4], b[A][4];
		UNROLL for (int i = 0; i < A; i++) {
			int t = k + 32 * i + 8 * (int)q;
			words8<F>(b[i], raw[i], min(t, last), K, table, t < K);
			UNROLL for (int e = 0; e < 4; e++) a[i][0][e] = inside && t < K ? left[i][e] : 0;
			turn(a[i][0], q);
			turn(b[i], q);
		}
		fetch(k + WARPS * TURN);
		for (unsigned next = 0; next < WARPS; next++) {
			if (next == warp && k < K) {
				if (k > 0) {
					float4 c = carried[lane];
					sum[0] = c.x, sum[1] = c.y, sum[2] = c.z, sum[3] = c.w;
				}
				UNROLL for (int i = 0; i < A; i++)
					UNROLL for (int j = 0; j < 4; j += 2) {
						unsigned rows[4] = {a[i][0][j], 0, a[i][0][j + 1], 0};
						multiply(sum, rows, b[i][j], b[i][j + 1]);
					}
				carried[lane] = float4{sum[0], sum[1], sum[2], sum[3]};
			}
			__syncthreads();
		}
	}
	if (warp != 0)
		return;
	float4 c = carried[lane];
	sum[0] = c.x, sum[1] = c.y, sum[2] = c.z, sum[3] = c.w;
	for (int k = 8 * (int)q; k < K2 + 8 * (int)q; k += 32) {
		unsigned a[1][4], b[4];
		read8(a[0], u + (long)g * ldu + k, inside && k < K2);
		read8(b, v + (long)mine * ldu + k, k < K2);
		add32<1>(sum, a, b, q);
	}
	UNROLL for (int e = 0; e < 2; e++) {
		int at = col + 2 * q + e;
		if (!inside || at >= N)
			continue;
		float s = __builtin_fmaf(sum[e], alpha, bias ? bias[at] : 0);
		if (type == TYPE_F32)
			add_to(((float *)y)[(long)g * ldy + at], s, accumulate);
		else
			add_to(((bf16 *)y)[(long)g * ldy + at], s, accumulate);
	}
}

#define FEW(entry, F, R)                                                                                               \
	KERNEL __launch_bounds__(128) void entry(                                                                          \
	    void *y, const unsigned short *x, const unsigned char *w, const unsigned short *u, const unsigned short *v,   \
	    const float *bias, int ldx, long stride, int ldu, int ldy, int M, int N, int K, int K2, float alpha, int accumulate, int split, int type) { \
		few_rows<F, R>(y, x, w, u, v, bias, ldx, stride, ldu, ldy, M, N, K, K2, alpha, accumulate, split, type);              \
	}
#define NARROW(entry, F)                                                                                               \
	KERNEL __launch_bounds__(128, F == INT8 || F == Q6_K ? 3 : 4) void entry(                                                                          \
	    void *y, const unsigned short *x, const unsigned char *w, const unsigned short *u, const unsigned short *v,   \
	    const float *bias, int ldx, long stride, int ldu, int ldy, int M, int N, int K, int K2, float alpha, int accumulate, int type) { \
		few_columns<F>(y, x, w, u, v, bias, ldx, stride, ldu, ldy, M, N, K, K2, alpha, accumulate, type);                     \
	}
// FORMATS makes entries of all formats by one of the two.
#define FORMATS(make, name, ...)                                                                                       \
	make(name##_bf16, BF16, ##__VA_ARGS__)                                                                             \
	make(name##_q8_0, Q8_0, ##__VA_ARGS__)                                                                             \
	make(name##_q4_0, Q4_0, ##__VA_ARGS__)                                                                             \
	make(name##_q4_1, Q4_1, ##__VA_ARGS__)                                                                             \
	make(name##_q5_0, Q5_0, ##__VA_ARGS__)                                                                             \
	make(name##_q5_1, Q5_1, ##__VA_ARGS__)                                                                             \
	make(name##_q4_k, Q4_K, ##__VA_ARGS__)                                                                             \
	make(name##_q5_k, Q5_K, ##__VA_ARGS__)                                                                             \
	make(name##_q6_k, Q6_K, ##__VA_ARGS__)                                                                             \
	make(name##_nf4, NF4, ##__VA_ARGS__)                                                                               \
	make(name##_int8, INT8, ##__VA_ARGS__)
