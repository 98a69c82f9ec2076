// Products of up to 8 rows, as decoding makes them: y = alpha (x W' + u v') +
// bias (+ y). The time goes into reading W, once, in the type that it is stored
// in. Sums and roundings are those of gemm.cu, bit for bit: 16 terms at a time
// in ascending order, on tensor cores, of which rows 8 to 15 stay empty.
//
// A warp makes 8 columns. Lane 4g+q reads 8 neighbours of column g, 32 terms of
// a column at a time, and the lanes of a quad exchange them for the fragments.
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

// add32 adds 32 terms.
DEVICE void add32(float (&sum)[4], unsigned (&x)[4], unsigned (&w)[4], unsigned q) {
	turn(x, q);
	turn(w, q);
	UNROLL for (int i = 0; i < 4; i += 2) {
		unsigned a[4] = {x[i], 0, x[i + 1], 0};
		multiply(sum, a, w[i], w[i + 1]);
	}
}

template <class T> DEVICE void add_to(T &y, float s, bool accumulate) { narrow(y, accumulate ? widen(y) + s : s); }

template <Format F>
DEVICE void few_rows(void *y, const unsigned short *x, const unsigned char *w, const unsigned short *u, const unsigned short *v,
                     const float *bias, int ldx, long stride, int ldu, int ldy, int M, int N, int K, int K2, float alpha, int accumulate, int split, int type) {
	unsigned lane = THREAD_X % 32, g = lane / 4, q = lane % 4;
	int col = (BLOCK_X * (BLOCK_SIZE / 32) + THREAD_X / 32) * 8;
	if (col >= N)
		return;
	int mine = min(col + (int)g, N - 1);
	const unsigned char *row = w + mine * stride;
	const unsigned short *xr = x + (long)g * ldx;
	float table = table_of<F>(lane), sum[4] = {0, 0, 0, 0};
	bool inside = g < M;
	// A turn adds what the one before has read. Otherwise NVIDIA's translator puts each
	// read in front of its use, and the warp waits for memory again and again.
	constexpr int AHEAD = F == NF4 ? 16 : 8; // reads under way in a lane
	int from = BLOCK_Y * split, to = min(K, from + split); // as in gemm.cu: part BLOCK_Y of the sum
	int last = (to - 1) / 8 * 8;
	unsigned raw[AHEAD][WORDS<F>], left[AHEAD][4];
	auto fetch = [&](int k) __attribute__((always_inline)) {
		UNROLL for (int i = 0; i < AHEAD; i++) {
			int t = min(k + 32 * i + 8 * (int)q, last);
			fetch8<F>(raw[i], row, t, to);
			fetch8<BF16>(left[i], (const unsigned char *)(inside ? xr : x), t, to);
		}
	};
	if (from < to)
		fetch(from);
	for (int k = from; k < to; k += 32 * AHEAD) {
		unsigned now[AHEAD][WORDS<F>], a[AHEAD][4];
		UNROLL for (int i = 0; i < AHEAD; i++) {
			UNROLL for (int e = 0; e < WORDS<F>; e++) now[i][e] = raw[i][e];
			UNROLL for (int e = 0; e < 4; e++) a[i][e] = left[i][e];
		}
		fetch(k + 32 * AHEAD);
		UNROLL for (int i = 0; i < AHEAD; i++) {
			int t = k + 32 * i + 8 * (int)q;
			unsigned b[4];
			words8<F>(b, now[i], min(t, last), to, table, t < to);
			UNROLL for (int e = 0; e < 4; e++) a[i][e] = inside && t < to ? a[i][e] : 0;
			add32(sum, a[i], b, q);
		}
	}
	for (int k = 8 * (int)q; k < K2 + 8 * (int)q; k += 32) {
		unsigned a[4], b[4];
		read8(a, u + (long)g * ldu + k, inside && k < K2);
		read8(b, v + (long)mine * ldu + k, k < K2);
		add32(sum, a, b, q);
	}
	if (!inside)
		return;
	UNROLL for (int e = 0; e < 2; e++) {
		int c = col + 2 * q + e;
		if (c >= N)
			break;
		float s = __builtin_fmaf(sum[e], alpha, bias ? bias[c] : 0);
		long at = ((long)BLOCK_Y * M + g) * ldy + c;
		if (type == TYPE_F32)
			add_to(((float *)y)[at], s, accumulate);
		else
			add_to(((bf16 *)y)[at], s, accumulate);
	}
}

#define FEW(name, F)                                                                                                   \
	KERNEL __launch_bounds__(128) void gemv_##name(                                                                    \
	    void *y, const unsigned short *x, const unsigned char *w, const unsigned short *u, const unsigned short *v,   \
	    const float *bias, int ldx, long stride, int ldu, int ldy, int M, int N, int K, int K2, float alpha, int accumulate, int split, int type) { \
		few_rows<F>(y, x, w, u, v, bias, ldx, stride, ldu, ldy, M, N, K, K2, alpha, accumulate, split, type);                 \
	}
FEW(bf16, BF16)
FEW(q8_0, Q8_0)
FEW(q4_0, Q4_0)
FEW(q4_1, Q4_1)
FEW(q5_0, Q5_0)
FEW(q5_1, Q5_1)
FEW(q4_k, Q4_K)
FEW(q5_k, Q5_K)
FEW(q6_k, Q6_K)
FEW(nf4, NF4)
FEW(int8, INT8)
