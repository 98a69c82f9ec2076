// The products of gemm.cu by Hopper's own matrix instruction, wgmma: 64 rows by
// up to 256 columns by 16 terms of shared memory, made by four warps beside
// what their threads do. It takes the same arguments, adds 16 terms at a time in
// the same order, and writes the same results.
//
// A block of two such groups of warps makes 128 rows. While one step of 64 terms
// is multiplied, the threads fetch another and start the next.
#include "hopper_product.cuh"

#define STAGES 4
#define THREADS 256

// stage starts the copies of ALL rows by STEP terms. A thread copies chunks of
// every 32nd line, which stand alike among the banks. The address of a copy that is
// not there is not read and may lie anywhere.
template <int ALL, bool ACROSS> DEVICE void stage(unsigned tile, Side x, int row, int rows, int k, int terms) {
	int line = (int)THREAD_X / 8, c = (int)THREAD_X % 8;
	int r = row + (ACROSS ? c * 8 : line), t = k + (ACROSS ? line : c * 8);
	unsigned to = tile + tile_at<8>(line, c);
	const unsigned short *from = x.at + (ACROSS ? (long)t * x.ld + r : (long)r * x.ld + t);
	UNROLL for (int i = 0; i < ALL; i += THREADS / 8) {
		int rowsOn = ACROSS ? i / 64 * 64 : i, termsOn = ACROSS ? i % 64 : 0;
		long on = ACROSS ? (long)termsOn * x.ld + rowsOn : (long)rowsOn * x.ld;
		copy16(to + i * 128, from + on, r + rowsOn < rows && t + termsOn < terms);
	}
}

template <int COLUMNS, bool TX, bool TW>
DEVICE void product(Side x, Side w, Side u, Side v, void *y, const float *bias, int M, int N, int K, int K2, int ldy,
                    float alpha, int accumulate, int split, int type) {
	constexpr int LEFT = ROWS * STEP * 2, RIGHT = COLUMNS * STEP * 2;
	extern __shared__ __attribute__((aligned(1024))) unsigned char memory[];
	unsigned base = (shared_address(memory) + 1023) & ~1023u;
	int row, col;
	tile_of_block<ROWS, COLUMNS>(row, col, M, N);
	int from = (int)BLOCK_Z * split, to = min(K, from + split);
	int first = to > from ? (to - from + STEP - 1) / STEP : 0, tiles = first + (K2 + STEP - 1) / STEP;

	auto fetch = [&](int t, unsigned at) {
		if (t < first) {
			stage<ROWS, TX>(at, x, row, M, from + t * STEP, to);
			stage<COLUMNS, TW>(at + LEFT, w, col, N, from + t * STEP, to);
		} else if (t < tiles) {
			stage<ROWS, TX>(at, u, row, M, (t - first) * STEP, K2);
			stage<COLUMNS, TW>(at + LEFT, v, col, N, (t - first) * STEP, K2);
		}
		copies_commit();
	};
	UNROLL for (int s = 0; s < STAGES - 2; s++) fetch(s, base + s * (LEFT + RIGHT));

	unsigned warp = THREAD_X / 32;
	float sum[COLUMNS / 8][4];
	UNROLL for (int j = 0; j < COLUMNS / 8; j++)
		UNROLL for (int e = 0; e < 4; e++) sum[j][e] = 0;

	unsigned now = 0, next = STAGES - 2;
	for (int t = 0; t < tiles; t++) {
		copies_wait<STAGES - 3>();
		show();
		__syncthreads();
		// All warps have waited for the products of two steps ago: their stage is free.
		fetch(t + STAGES - 2, base + next * (LEFT + RIGHT));
		unsigned at = base + now * (LEFT + RIGHT);
		u64 a = descriptor<TX>(at + warp / 4 * GROUP), b = descriptor<TW>(at + LEFT);
		begin(sum);
		UNROLL for (int k = 0; k < STEP; k += 16)
			multiply64<TX, TW>(sum, a + k * (TX ? 128 : 2) / 16, b + k * (TW ? 128 : 2) / 16);
		commit();
		wait<1>();
		now = now + 1 == STAGES ? 0 : now + 1;
		next = next + 1 == STAGES ? 0 : next + 1;
	}
	finish(sum);
	row += (int)warp * 16;
	if (type == TYPE_F32)
		write((float *)y, sum, bias, row, col, M, N, ldy, alpha, accumulate);
	else
		write((bf16 *)y, sum, bias, row, col, M, N, ldy, alpha, accumulate);
}

#define PRODUCT(name, COLUMNS, TX, TW)                                                                                 \
	KERNEL __launch_bounds__(THREADS) void name(                                                                       \
	    const unsigned short *x, const unsigned short *w, const unsigned short *u, const unsigned short *v, void *y,   \
	    const float *bias, int ldx, int ldw, int ldu, int ldv, int ldy, int M, int N, int K, int K2, float alpha,      \
	    int accumulate, int split, int type) {                                                                         \
		product<COLUMNS, TX, TW>(Side{x, ldx}, Side{w, ldw}, Side{u, ldu}, Side{v, ldv}, y, bias, M, N, K, K2, ldy,     \
		                         alpha, accumulate, split, type);                                                     \
	}

#define PRODUCTS(kind, TX, TW)                                                                                         \
	PRODUCT(wgmma_##kind##_wide, 256, TX, TW)                                                                          \
	PRODUCT(wgmma_##kind##_square, 128, TX, TW)

PRODUCTS(nt, false, false)
PRODUCTS(nn, false, true)
PRODUCTS(tn, true, true)
