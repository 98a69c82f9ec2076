// The products of gemm_sm90.cu, fed by the card's copy engine (TMA): one thread asks for
// the boxes of a stage, 64 lines of 128 bytes each, which come swizzled as wgmma reads
// them, with zeros where a side ends. Eight other warps multiply, and have no addresses to
// reckon. A stage is full when all its bytes are there, and empty when all eight
// warps' products of it are done. Tiles, the order of sums and results are those of
// gemm_sm90.cu.
//
// A side comes as the address of its tensor map in global memory: rows as they lie, boxes
// of 64 x 64. Parts of a split sum begin at multiples of STEP.
#include "bulk.cuh"
#include "hopper_product.cuh"

#define WARPS 8 // that multiply
#define THREADS (32 * WARPS + 32)

// Sides are the maps of x and w and, for K2 terms more, of u and v.
struct Sides {
	u64 x, w, u, v;
};

// ring is a place among the stages and the parity of the phase that it is in.
template <int STAGES> struct ring {
	unsigned at, parity;
	DEVICE void next() {
		if (++at == STAGES)
			at = 0, parity ^= 1;
	}
};

// side starts the copies of ALL rows by STEP terms.
template <int ALL, bool ACROSS> DEVICE void side(unsigned tile, u64 map, int row, int k, unsigned full) {
	UNROLL for (int i = 0; i < ALL; i += 64) box_fetch(tile + i / 64 * GROUP, map, ACROSS ? row + i : k, ACROSS ? k : row + i, full);
}

template <int COLUMNS, bool TX, bool TW>
DEVICE void product(const Sides &m, void *y, const float *bias, int M, int N, int K, int K2, int ldy, float alpha, int accumulate,
                    int split, int type) {
	constexpr int LEFT = ROWS * STEP * 2, STAGE = LEFT + COLUMNS * STEP * 2, STAGES = COLUMNS == 256 ? 4 : 6;
	extern __shared__ __attribute__((aligned(1024))) unsigned char memory[];
	unsigned base = (shared_address(memory) + 1023) & ~1023u, full = base + STAGES * STAGE, empty = full + STAGES * 8;
	int row, col;
	tile_of_block<ROWS, COLUMNS>(row, col, M, N);
	int from = (int)BLOCK_Z * split, to = min(K, from + split);
	int first = to > from ? (to - from + STEP - 1) / STEP : 0, tiles = first + (K2 + STEP - 1) / STEP;

	if (THREAD_X == 0) {
		UNROLL for (int s = 0; s < STAGES; s++) barrier_make(full + s * 8, 1), barrier_make(empty + s * 8, WARPS);
		barriers_show();
	}
	__syncthreads();

	// What is the same in all lanes stays in registers of the warp, as descriptors must, where
	// a translator sees that it is.
	unsigned warp = from_lane((unsigned)THREAD_X / 32, 0), lane = THREAD_X % 32;
	if (warp == WARPS) {
		if (!elected())
			return;
		if (first > 0)
			map_acquire(m.x), map_acquire(m.w);
		if (K2 > 0)
			map_acquire(m.u), map_acquire(m.v);
		ring<STAGES> r{0, 1}; // the first time round all stages are empty
		for (int t = 0; t < tiles; t++, r.next()) {
			unsigned at = base + r.at * STAGE, done = full + r.at * 8;
			barrier_wait(empty + r.at * 8, r.parity);
			barrier_expect(done, STAGE);
			bool more = t >= first;
			int k = more ? (t - first) * STEP : from + t * STEP;
			side<ROWS, TX>(at, more ? m.u : m.x, row, k, done);
			side<COLUMNS, TW>(at + LEFT, more ? m.v : m.w, col, k, done);
		}
		return;
	}

	float sum[COLUMNS / 8][4];
	UNROLL for (int j = 0; j < COLUMNS / 8; j++)
		UNROLL for (int e = 0; e < 4; e++) sum[j][e] = 0;

	ring<STAGES> r{0, 0};
	unsigned before = 0;
	for (int t = 0; t < tiles; t++, r.next()) {
		unsigned at = base + r.at * STAGE;
		barrier_wait(full + r.at * 8, r.parity);
		u64 a = descriptor<TX>(at + warp / 4 * GROUP), b = descriptor<TW>(at + LEFT);
		begin(sum);
		UNROLL for (int k = 0; k < STEP; k += 16)
			multiply64<TX, TW>(sum, a + k * (TX ? 128 : 2) / 16, b + k * (TW ? 128 : 2) / 16);
		commit();
		wait<1>();
		// The products of the step before are done.
		barrier_arrive(empty + before * 8, t > 0 && lane == 0);
		before = r.at;
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
	    u64 x, u64 w, u64 u, u64 v, void *y, const float *bias, int ldy, int M, int N, int K, int K2, float alpha,     \
	    int accumulate, int split, int type) {                                                                         \
		product<COLUMNS, TX, TW>(Sides{x, w, u, v}, y, bias, M, N, K, K2, ldy, alpha, accumulate, split, type);         \
	}

#define PRODUCTS(kind, TX, TW)                                                                                         \
	PRODUCT(tma_##kind##_wide, 256, TX, TW)                                                                            \
	PRODUCT(tma_##kind##_square, 128, TX, TW)

PRODUCTS(nt, false, false)
PRODUCTS(nn, false, true)
PRODUCTS(tn, true, true)
