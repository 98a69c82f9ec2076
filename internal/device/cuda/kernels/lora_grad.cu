// Both gradients that an adapter's product with B leads to, du[T,R] = dy B[N,R] and
// dB[N,R] = dy' u[T,R], from one reading of dy[T,N]; R is at most 16. The sums are those
// of gemm.cu's two products, term by term and part by part, and so are the bits: du in
// parts of 512 columns of dy, dB in parts of `terms` rows, which gemm_gather adds up.
//
// A block makes a part of either from the same columns and rows of dy, in tiles of 64 rows
// by 128 columns, four tiles along a row of them. For dB a warp has 16 columns of each
// tile, whose sums stay in registers to the end; for du it has 16 rows and 8 columns of B,
// whose sums are done with a row of tiles.
#include "product.cuh"

#define THREADS 256
#define ROWS 64
#define COLUMNS 128
#define ALONG 4 // tiles of a row
#define RANK 16
#define STAGES 4 // as many as tiles of a row: a tile's place is known when this is compiled

// stage starts the copies of ALL lines of S chunks from row `row` and column `col`. The
// address of a copy that is not there is not read and may lie anywhere.
template <int ALL, int S> DEVICE void stage(unsigned tile, Side x, int row, int rows, int col, int cols) {
	constexpr int LINES = THREADS / S;
	int line = (int)THREAD_X / S, c = (int)THREAD_X % S;
	unsigned to = tile + tile_at<S>(line, c);
	const unsigned short *from = x.at + (long)(row + line) * x.ld + col + c * 8;
	UNROLL for (int i = 0; i < ALL; i += LINES) {
		if (ALL % LINES != 0 && line + i >= ALL)
			break;
		copy16(to + i * S * 16, from + (long)i * x.ld, row + line + i < rows && col + c * 8 < cols);
	}
}

// put writes a 16 x 8 of sums into rows of R, for rows below `rows`.
DEVICE void put(float *y, const float (&sum)[4], int row, int rows, int col, int R) {
	unsigned lane = THREAD_X % 32;
	UNROLL for (int half = 0; half < 2; half++) {
		int r = row + (int)lane / 4 + half * 8, c = col + (int)lane % 4 * 2;
		float *at = y + (long)r * R + c;
		if (r >= rows || c >= R)
			continue;
		if (R % 2 == 0) {
			put2(at, sum[half * 2], sum[half * 2 + 1]);
			continue;
		}
		at[0] = sum[half * 2];
		if (c + 1 < R)
			at[1] = sum[half * 2 + 1];
	}
}

KERNEL __launch_bounds__(THREADS, 2) void lora_grad(float *du, float *db, const unsigned short *dy, const unsigned short *b,
                                                    const unsigned short *u, int lddy, int ldb, int ldu, int T, int N, int R, int terms) {
	constexpr int TILE = ROWS * COLUMNS * 2, RIGHT = ALONG * COLUMNS * RANK * 2;
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned stages = shared_address(memory), factors = stages + STAGES * TILE, lows = factors + RIGHT;
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	int col = (int)BLOCK_X * ALONG * COLUMNS, from = (int)BLOCK_Y * terms, to = min(T, from + terms);
	int tiles = (to - from + ROWS - 1) / ROWS * ALONG;
	auto fetch = [&](int t, int c) __attribute__((always_inline)) {
		if (t < tiles) {
			int row = from + t / ALONG * ROWS;
			stage<ROWS, COLUMNS / 8>(stages + c * TILE, Side{dy, lddy}, row, to, col + c * COLUMNS, N);
			if (c == 0) // all warps have read the last ones, in front of the tile before
				stage<ROWS, RANK / 8>(lows, Side{u, ldu}, row, to, 0, R);
		}
		copies_commit();
	};
	stage<ALONG * COLUMNS, RANK / 8>(factors, Side{b, ldb}, col, N, 0, R);
	UNROLL for (int c = 0; c < STAGES - 1; c++) fetch(c, c);

	float sums[ALONG][2][4]; // of dB
	UNROLL for (int c = 0; c < ALONG; c++)
		UNROLL for (int e = 0; e < 8; e++) sums[c][e / 4][e % 4] = 0;
	for (int t = 0; t < tiles; t += ALONG) {
		float sum[4] = {0, 0, 0, 0}; // of du
		unsigned low[ROWS / 16][4];
		UNROLL for (int c = 0; c < ALONG; c++) {
			copies_wait<STAGES - 2>();
			__syncthreads();
			fetch(t + c + STAGES - 1, (c + STAGES - 1) % STAGES);
			unsigned tile = stages + c * TILE;
			if (c == 0)
				UNROLL for (int k = 0; k < ROWS; k += 16) right_fragments<RANK / 8, true>(low[k / 16], lows, 0, k, lane);
			UNROLL for (int k = 0; k < ROWS; k += 16) {
				unsigned a[4];
				left_fragment<COLUMNS / 8, true>(a, tile, warp * 16, k, lane);
				multiply(sums[c][0], a, low[k / 16][0], low[k / 16][1]);
				multiply(sums[c][1], a, low[k / 16][2], low[k / 16][3]);
			}
			UNROLL for (int k = 0; k < COLUMNS; k += 32) {
				unsigned w[4]; // 32 rows of B, of 8 columns
				load4_turned(w, factors + tile_at<RANK / 8>(c * COLUMNS + k + lane, warp % 2));
				UNROLL for (int i = 0; i < 2; i++) {
					unsigned a[4];
					left_fragment<COLUMNS / 8, false>(a, tile, warp / 2 * 16, k + 16 * i, lane);
					multiply(sum, a, w[2 * i], w[2 * i + 1]);
				}
			}
		}
		put(du + (long)BLOCK_X * T * R, sum, from + t / ALONG * ROWS + (int)warp / 2 * 16, to, (int)warp % 2 * 8, R);
	}
	UNROLL for (int c = 0; c < ALONG; c++)
		UNROLL for (int n = 0; n < 2; n++)
			put(db + (long)BLOCK_Y * N * R, sums[c][n], col + c * COLUMNS + (int)warp * 16, N, n * 8, R);
}
