// dq of attention (attention_grad.cu) by Hopper's own matrix instruction: the same
// tiles and order of sums. Queries and their gradients stay in shared memory as
// left sides beside the tiles of keys and values; the products of dS with the keys
// run while the threads wait for the next tile.
#include "flash_hopper.cuh"

template <int D>
DEVICE void queries_grad(void *dq, Rows q, Rows k, Rows v, Rows dout, const float *lse, const float *delta, Masks masks, int T, int H,
                         int KV, int wanted, float scale, int type) {
	constexpr int TILE = BLOCK * D * 2;
	extern __shared__ __attribute__((aligned(1024))) unsigned char memory[];
	unsigned queries = (shared_address(memory) + 1023) & ~1023u, grads = queries + TILE, stages = grads + TILE;
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	int lo = ((T + BLOCK - 1) / BLOCK - 1 - (int)BLOCK_X) * BLOCK, hi = min(T, lo + BLOCK);
	int head = BLOCK_Y, kv = head / (H / KV), row = lo + (int)warp * 16;
	fetch_lines<D>(queries, q + head * D, (long)H * D, lo, hi);
	fetch_lines<D>(grads, dout + head * D, (long)H * D, lo, hi);
	float l[2], d[2];
	UNROLL for (int half = 0; half < 2; half++) {
		int i = min(row + half * 8 + (int)lane / 4, T - 1);
		l[half] = lse[(long)i * H + head] * LOG2E, d[half] = delta[(long)i * H + head];
	}
	unsigned long ends = ends_of([&](int i) { return masks.same(i); }, lo, hi, lane);
	for (int from = lo; from < hi;) {
		Mask mask = masks.at(from);
		int to = lo + first_end(ends, from - lo);
		Span s{from, to, mask.prefixEnd - mask.prefixStart, to - mask.segmentStart, -mask.segmentStart};
		s.count();
		auto fetch = [&](int c, unsigned at) {
			if (c < s.tiles) {
				int key = s.place(mask, c);
				fetch_lines<D>(at, k + kv * D, (long)KV * D, key, key + s.length(c));
				fetch_lines<D>(at + TILE, v + kv * D, (long)KV * D, key, key + s.length(c));
			}
			copies_commit();
		};
		float sum[D / 8][4];
		clear(sum);
		fetch(0, stages);
		for (int c = 0; c < s.tiles; c++) {
			finish(sum); // before its tile of keys is written over
			copies_wait<0>();
			show();
			__syncthreads();
			unsigned now = stages + (c & 1) * 2 * TILE;
			fetch(c + 1, stages + (~c & 1) * 2 * TILE);
			float p[BLOCK / 8][4], ds[BLOCK / 8][4];
			clear(p);
			clear(ds);
			pin(p);
			begin(ds); // and p
			UNROLL for (int n = 0; n < D; n += 16) {
				int at = (n / 64 * GROUP + n % 64 * 2) / 16;
				multiply64<false, false>(p, descriptor<false>(queries) + at, descriptor<false>(now) + at);
				multiply64<false, false>(ds, descriptor<false>(grads) + at, descriptor<false>(now + TILE) + at);
			}
			commit();
			finish(p); // and ds
			pin(ds);
			UNROLL for (int half = 0; half < 2; half++) {
				int visible = s.visible(c, row + half * 8 + lane / 4);
				UNROLL for (int n = 0; n < BLOCK / 8; n++)
					UNROLL for (int e = 0; e < 2; e++) {
						float &x = p[n][half * 2 + e], &y = ds[n][half * 2 + e];
						int j = n * 8 + lane % 4 * 2 + e;
						y = exp2_fast(j < visible ? x * (scale * LOG2E) - l[half] : NONE) * (y - d[half]) * scale;
					}
			}
			unsigned w[BLOCK / 16][4];
			UNROLL for (int n = 0; n < BLOCK / 16; n++) {
				weights(w[n], ds[2 * n], ds[2 * n + 1]);
				pin(w[n]);
			}
			begin(sum);
			UNROLL for (int n = 0; n < BLOCK / 16; n++) multiply64<true>(sum, w[n], descriptor<true>(now) + n * 16 * 128 / 16);
			commit();
		}
		finish(sum);
		__syncthreads(); // before the tiles are used again
		put_head<D>(dq, type, head, (long)H * wanted, sum, row, from, to, wanted, lane, 1, 1);
		from = to;
	}
}

#define GRAD(D)                                                                                                         \
	KERNEL __launch_bounds__(128) void attention_queries_grad_wgmma_##D(void *dq, Rows q, Rows k, Rows v, Rows dout,    \
	    const float *lse, const float *delta, const int *prefixStart, const int *prefixEnd, const int *segmentStart,    \
	    int T, int H, int KV, int wanted, float scale, int type) {                                                      \
		queries_grad<D>(dq, q, k, v, dout, lse, delta, Masks{prefixStart, prefixEnd, segmentStart}, T, H, KV, wanted,   \
		                scale, type);                                                                                   \
	}
GRAD(64)
GRAD(128)
