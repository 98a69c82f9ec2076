// attention of a pack (attention.cu) by Hopper's own matrix instruction: the same
// tiles, softmax and order of sums. Queries and weights are its left sides in
// registers, keys and values its right ones in shared memory. While the weights of
// one tile multiply its values, the threads fetch the next tile and start its
// scores.
#include "flash_hopper.cuh"

#define STAGES 3

// attend is that of attention.cu, for keys and values of a pack.
template <int D, class Parts>
DEVICE void attend(Softmax &m, float (&o)[D / 8][4], const unsigned (&q)[D / 16][4], Span s, Mask mask, Rows k, Rows v, long step,
                   int row, Parts &parts, float scale, unsigned memory) {
	constexpr int TILE = BLOCK * D * 2;
	unsigned lane = THREAD_X % 32;
	auto fetch = [&](int c, unsigned at) {
		if (c < s.tiles) {
			int from = s.place(mask, c), end = from + s.length(c);
			fetch_lines<D>(at, k, step, from, end);
			fetch_lines<D>(at + TILE, v, step, from, end);
		}
		copies_commit();
	};
	fetch(0, memory);
	unsigned now = 0;
	bool last;
	int first = 0;
	do {
		int end = min(first + PART, s.tiles);
		for (int c = first; c < end; c++) {
			unsigned next = now + 1 == STAGES ? 0 : now + 1;
			copies_wait<0>();
			show();
			__syncthreads();
			// All warps have waited for the products of two tiles ago: their stage is free.
			fetch(c + 1, memory + next * 2 * TILE);
			unsigned at = memory + now * 2 * TILE;
			u64 keys = descriptor<false>(at), values = descriptor<true>(at + TILE);
			float p[BLOCK / 8][4];
			clear(p);
			begin(p);
			UNROLL for (int d = 0; d < D; d += 16) multiply64<false>(p, q[d / 16], keys + (d / 64 * GROUP + d % 64 * 2) / 16);
			commit();
			finish(p); // and o
			pin(o);
			UNROLL for (int n = 0; n < BLOCK / 8; n++)
				UNROLL for (int e = 0; e < 4; e++) p[n][e] = no_fma(p[n][e], scale);
			hide(p, {s.visible(c, row + (int)lane / 4), s.visible(c, row + 8 + (int)lane / 4)}, lane);
			float shrink[2];
			m.add(p, shrink);
			if (vote((shrink[0] != 1) | (shrink[1] != 1))) // else no row of the warp has a new largest score
				scale_rows(o, shrink);
			unsigned w[BLOCK / 16][4];
			UNROLL for (int n = 0; n < BLOCK / 16; n++) {
				weights(w[n], p[2 * n], p[2 * n + 1]);
				pin(w[n]);
			}
			begin(o);
			UNROLL for (int n = 0; n < BLOCK / 16; n++) multiply64<true>(o, w[n], values + n * 16 * 128 / 16);
			commit();
			now = next;
		}
		finish(o);
		last = end == s.tiles;
		parts.end(m, o, first == 0, last);
		first += PART;
	} while (!last);
	__syncthreads(); // before the tiles are used again
}

template <int D>
DEVICE void attention(void *o, float *lse, float *parts, Rows q, Rows k, Rows v, Masks masks, int T, int H, int KV, int wanted, float scale, int type) {
	extern __shared__ __attribute__((aligned(1024))) unsigned char memory[];
	unsigned base = (shared_address(memory) + 1023) & ~1023u;
	int kv = (int)BLOCK_Y / (H / KV);
	each_span<D>(o, lse, parts, q, masks, T, H, wanted, type, base, [&](Softmax &m, float(&sum)[D / 8][4], const unsigned(&fragments)[D / 16][4], Span s, Mask mask, int row, auto &kept) __attribute__((always_inline)) {
		attend<D>(m, sum, fragments, s, mask, k + kv * D, v + kv * D, (long)KV * D, row, kept, scale * LOG2E, base);
	});
}

#define ATTENTION(D)                                                                                                    \
	KERNEL __launch_bounds__(128) void attention_wgmma_##D(void *o, float *lse, float *parts, Rows q, Rows k, Rows v,   \
	    const int *prefixStart, const int *prefixEnd, const int *segmentStart, int T, int H, int KV, int wanted,         \
	    float scale, int type) {                                                                                         \
		attention<D>(o, lse, parts, q, k, v, Masks{prefixStart, prefixEnd, segmentStart}, T, H, KV, wanted, scale, type); \
	}
ATTENTION(64)
ATTENTION(128)
