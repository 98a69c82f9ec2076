// y[M,N] = alpha (x w + u v) + bias (+ y): products of bf16 matrices with
// float32 sums, into float32 or bf16. Letters n and t say whether the sum runs along the rows of a
// side or across them:
//
//	nt: x[M,K] w[N,K]'    nn: x[M,K] w[K,N]    tn: x[K,M]' w[K,N]
//
// u v is the adapter's product: its sum of K2 terms follows that over K in the
// same accumulators. An element's sum takes 16 terms at a time in ascending
// order whatever the tile is, so that a row has the same bits in every call.
// Rows of x, w, u, v begin at multiples of 16 bytes; what lies between a row's
// end and the next multiple of 8 elements along the sum is 0.
#include "product.cuh"

#define STEP 32 // terms of the sum in one stage

// stage starts the copies of ROWS vectors by STEP terms.
template <int ROWS, bool ACROSS, int THREADS>
DEVICE void stage(unsigned tile, Side x, int row, int rows, int k, int terms) {
	constexpr int S = ACROSS ? ROWS / 8 : STEP / 8, CHUNKS = ROWS * STEP / 8;
	UNROLL for (int i = 0; i < CHUNKS; i += THREADS) {
		int n = i + (int)THREAD_X;
		if (CHUNKS % THREADS != 0 && n >= CHUNKS)
			break;
		int line = n / S, c = n % S;
		int r = row + (ACROSS ? c * 8 : line), t = k + (ACROSS ? line : c * 8);
		bool there = r < rows && t < terms;
		long at = ACROSS ? (long)t * x.ld + r : (long)r * x.ld + t;
		copy16(tile + tile_at<S>(line, c), x.at + (there ? at : 0), there);
	}
}

// PAIRS writes two columns at a time and needs rows of an even length; ONES
// does without.
enum Out { PAIRS, ONES };

// write puts two neighbours from element `at`, of which `left` columns are in
// the row.
template <Out OUT, class T> DEVICE void write(T *y, int left, float s0, float s1, bool accumulate) {
	if (OUT == PAIRS) {
		if (left > 0) {
			if (accumulate)
				s0 += widen(y[0]), s1 += widen(y[1]);
			put2(y, s0, s1);
		}
		return;
	}
	if (left > 0)
		narrow(y[0], accumulate ? widen(y[0]) + s0 : s0);
	if (left > 1)
		narrow(y[1], accumulate ? widen(y[1]) + s1 : s1);
}

template <Out OUT, int BM, int BN, int WM, int WN, int STAGES, bool TX, bool TW>
DEVICE void product(Side x, Side w, Side u, Side v, void *y, const float *bias, int M, int N, int K, int K2, int ldy,
                    float alpha, int accumulate, int split, int type) {
	constexpr int WARPS_N = BN / WN, THREADS = BM / WM * WARPS_N * 32;
	constexpr int LEFT = BM * STEP * 2, RIGHT = BN * STEP * 2;
	constexpr int SX = TX ? BM / 8 : STEP / 8, SW = TW ? BN / 8 : STEP / 8;
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned base = shared_address(memory);
	int row, col;
	tile_of_block<BM, BN>(row, col, M, N);
	int from = (int)BLOCK_Z * split, to = min(K, from + split);
	int first = to > from ? (to - from + STEP - 1) / STEP : 0, tiles = first + (K2 + STEP - 1) / STEP;

	auto fetch = [&](int t, unsigned at) {
		if (t < first) {
			stage<BM, TX, THREADS>(at, x, row, M, from + t * STEP, to);
			stage<BN, TW, THREADS>(at + LEFT, w, col, N, from + t * STEP, to);
		} else if (t < tiles) {
			stage<BM, TX, THREADS>(at, u, row, M, (t - first) * STEP, K2);
			stage<BN, TW, THREADS>(at + LEFT, v, col, N, (t - first) * STEP, K2);
		}
		copies_commit();
	};
	UNROLL for (int s = 0; s < STAGES - 1; s++) fetch(s, base + s * (LEFT + RIGHT));

	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	unsigned wm = warp / WARPS_N * WM, wn = warp % WARPS_N * WN;
	float sum[WM / 16][WN / 8][4];
	UNROLL for (int i = 0; i < WM / 16; i++)
		UNROLL for (int j = 0; j < WN / 8; j++)
			UNROLL for (int e = 0; e < 4; e++) sum[i][j][e] = 0;

	unsigned now = 0, next = STAGES - 1;
	for (int t = 0; t < tiles; t++) {
		copies_wait<STAGES - 2>();
		__syncthreads();
		fetch(t + STAGES - 1, base + next * (LEFT + RIGHT));
		unsigned left = base + now * (LEFT + RIGHT), right = left + LEFT;
		UNROLL for (int k = 0; k < STEP; k += 16) {
			unsigned a[WM / 16][4], b[WN / 16][4];
			UNROLL for (int i = 0; i < WM / 16; i++) left_fragment<SX, TX>(a[i], left, wm + i * 16, k, lane);
			UNROLL for (int j = 0; j < WN / 16; j++) right_fragments<SW, TW>(b[j], right, wn + j * 16, k, lane);
			UNROLL for (int i = 0; i < WM / 16; i++)
				UNROLL for (int j = 0; j < WN / 8; j++) multiply(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
		}
		now = now + 1 == STAGES ? 0 : now + 1;
		next = next + 1 == STAGES ? 0 : next + 1;
	}

	float add[WN / 8][2]; // the bias of this lane's columns
	int c0 = col + wn + lane % 4 * 2;
	UNROLL for (int j = 0; j < WN / 8; j++)
		UNROLL for (int e = 0; e < 2; e++) add[j][e] = bias && c0 + j * 8 + e < N ? bias[c0 + j * 8 + e] : 0;
	auto put = [&](auto *y) __attribute__((always_inline)) {
		UNROLL for (int i = 0; i < WM / 16; i++)
			UNROLL for (int half = 0; half < 2; half++) {
				int r = row + wm + i * 16 + half * 8 + lane / 4;
				if (r >= M)
					continue;
				long at = ((long)BLOCK_Z * M + r) * ldy + c0;
				UNROLL for (int j = 0; j < WN / 8; j++) {
					float s0 = __builtin_fmaf(sum[i][j][half * 2], alpha, add[j][0]), s1 = __builtin_fmaf(sum[i][j][half * 2 + 1], alpha, add[j][1]);
					write<OUT>(y + at + j * 8, N - c0 - j * 8, s0, s1, accumulate);
				}
			}
	};
	if (type == TYPE_F32)
		put((float *)y);
	else
		put((bf16 *)y);
}

#define PRODUCT(name, OUT, BM, BN, WM, WN, STAGES, TX, TW)                                                                       \
	KERNEL __launch_bounds__(BM / WM * (BN / WN) * 32) void name(                                                      \
	    const unsigned short *x, const unsigned short *w, const unsigned short *u, const unsigned short *v, void *y,   \
	    const float *bias, int ldx, int ldw, int ldu, int ldv, int ldy, int M, int N, int K, int K2, float alpha,      \
	    int accumulate, int split, int type) {                                                                              \
		product<OUT, BM, BN, WM, WN, STAGES, TX, TW>(Side{x, ldx}, Side{w, ldw}, Side{u, ldu}, Side{v, ldv}, y, bias, M, N, K, K2,  \
		                                ldy, alpha, accumulate, split, type);                                               \
	}

// The slim tile is for few rows, whose time goes into reading w: more blocks, with
// more copies under way in each.
#define PRODUCTS(kind, TX, TW)                                                                                         \
	PRODUCT(gemm_##kind##_large, PAIRS, 128, 128, 64, 32, 3, TX, TW)                                                   \
	PRODUCT(gemm_##kind##_small, PAIRS, 64, 64, 32, 32, 3, TX, TW)                                                     \
	PRODUCT(gemm_##kind##_slim, PAIRS, 64, 32, 16, 32, 8, TX, TW)                                                      \
	PRODUCT(gemm_##kind##_narrow, PAIRS, 64, 16, 16, 16, 3, TX, TW)                                                    \
	PRODUCT(gemm_##kind##_odd, ONES, 64, 64, 32, 32, 3, TX, TW)

PRODUCTS(nt, false, false)
PRODUCTS(nn, false, true)
PRODUCTS(tn, true, true)

// gemm_gather adds the parts of a product whose sum was split, in ascending
// order: y = alpha (sum over parts) (+ y).
template <class T> DEVICE void gather(T *y, const float *parts, int n, int count, float alpha, int accumulate) {
	int i = BLOCK_X * BLOCK_SIZE + THREAD_X;
	if (i >= n)
		return;
	float s = 0;
	for (int p = 0; p < count; p++) s += parts[(long)p * n + i];
	s *= alpha;
	narrow(y[i], accumulate ? widen(y[i]) + s : s);
}
KERNEL void gemm_gather_f32(float *y, const float *parts, int n, int count, float alpha, int accumulate) {
	gather(y, parts, n, count, alpha, accumulate);
}
KERNEL void gemm_gather_bf16(bf16 *y, const float *parts, int n, int count, float alpha, int accumulate) {
	gather(y, parts, n, count, alpha, accumulate);
}

// gemm_gather_round is gemm_gather into bf16 rows of ld elements, 0 past column
// n: the left side of the adapter's product.
KERNEL void gemm_gather_round(unsigned short *y, const float *parts, int m, int n, int ld, int count, float alpha) {
	int i = BLOCK_X * BLOCK_SIZE + THREAD_X, row = i / (ld / 2), c = i % (ld / 2) * 2;
	if (row >= m)
		return;
	float s[2] = {0, 0};
	for (int p = 0; p < count; p++)
		UNROLL for (int e = 0; e < 2; e++) s[e] += c + e < n ? parts[((long)p * m + row) * n + c + e] : 0;
	((unsigned *)y)[i] = bf16_pair(s[0] * alpha, s[1] * alpha);
}
