// The gradients of attention (attention_grad.cu) by Hopper's own matrix
// instruction: the same tiles and order of sums. A block's own rows stay in shared
// memory as left sides, beside the tiles that it goes over; the last products of a
// tile run while the threads wait for the next one.
#include "flash_grad.cuh"
#include "flash_hopper.cuh"

template <int D>
DEVICE void keys_grad(void *dk, void *dv, Rows q, Rows k, Rows v, Rows dout, const float *lse, const float *delta, Masks masks,
                      const int *spans, int T, int H, int KV, int wanted, float scale, int type) {
	constexpr int TILE = BLOCK * D * 2, QTILE = QUERIES * D * 2, STEP = QUERIES * 128;
	extern __shared__ __attribute__((aligned(1024))) unsigned char memory[];
	unsigned keys = (shared_address(memory) + 1023) & ~1023u, values = keys + TILE, stages = values + TILE, numbers = stages + 4 * QTILE;
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	int lo = (int)BLOCK_X * BLOCK, hi = min(T, lo + BLOCK), kv = BLOCK_Y, row = lo + (int)warp * 16;
	fetch_lines<D>(keys, k + kv * D, (long)KV * D, lo, hi);
	fetch_lines<D>(values, v + kv * D, (long)KV * D, lo, hi);
	auto fetch = [&](const Walk &w, unsigned turn) {
		if (!w.done()) {
			unsigned at = stages + turn * 2 * QTILE;
			fetch_lines<D, QUERIES>(at, q + w.head * D, (long)H * D, w.tile, w.end);
			fetch_lines<D, QUERIES>(at + QTILE, dout + w.head * D, (long)H * D, w.tile, w.end);
			if (THREAD_X < 2 * QUERIES) {
				int i = w.tile + THREAD_X % QUERIES;
				bool there = i < w.end;
				copy4(numbers + turn * QUERIES * 8 + THREAD_X * 4, (THREAD_X < QUERIES ? lse : delta) + (there ? (long)i * H + w.head : 0), there);
			}
		}
		copies_commit();
	};
	unsigned long ends = ends_of([&](int i) { return masks.segmentStart[i] == masks.segmentStart[i + 1]; }, lo, hi, lane);
	for (int from = lo, to; from < hi; from = to) {
		to = lo + first_end(ends, from - lo);
		float sumK[D / 8][4], sumV[D / 8][4];
		clear(sumK);
		clear(sumV);
		Walk ahead{masks, spans, spans[0], from, to};
		ahead.start(kv * (H / KV), (kv + 1) * (H / KV));
		fetch(ahead, 0);
		pin(sumK);
		begin(sumV); // translators before CUDA 12.4's want one in front of the loop, or let no two products be under way
		for (unsigned turn = 0; !ahead.done(); turn ^= 1) {
			Mask mask = ahead.mask;
			int tile = ahead.tile, end = ahead.end;
			ahead.next();
			finish(sumV); // and sumK, before their tiles are written over
			pin(sumK);
			copies_wait<0>();
			show();
			__syncthreads();
			fetch(ahead, turn ^ 1);
			unsigned now = stages + turn * 2 * QTILE, number = numbers + turn * QUERIES * 8;
			float p[QUERIES / 8][4], ds[QUERIES / 8][4];
			clear(p);
			clear(ds);
			pin(p);
			begin(ds); // and p
			UNROLL for (int n = 0; n < D; n += 16) {
				int left = (n / 64 * GROUP + n % 64 * 2) / 16, right = (n / 64 * STEP + n % 64 * 2) / 16;
				multiply64<false, false>(p, descriptor<false>(keys) + left, descriptor<false>(now) + right);
				multiply64<false, false>(ds, descriptor<false>(values) + left, descriptor<false>(now + QTILE) + right);
			}
			commit();
			finish(p); // and ds
			pin(ds);
			UNROLL for (int n = 0; n < QUERIES / 8; n++)
				UNROLL for (int e = 0; e < 2; e++) {
					float l = shared_float(number + (n * 8 + lane % 4 * 2 + e) * 4) * LOG2E;
					UNROLL for (int half = 0; half < 4; half += 2) p[n][half + e] = p[n][half + e] * (scale * LOG2E) - l;
				}
			hide_queries(p, mask, tile, end, from, to, row + (int)lane / 4, lane);
			UNROLL for (int n = 0; n < QUERIES / 8; n++)
				UNROLL for (int e = 0; e < 2; e++) {
					float d = shared_float(number + (QUERIES + n * 8 + lane % 4 * 2 + e) * 4);
					UNROLL for (int half = 0; half < 4; half += 2) {
						p[n][half + e] = exp2_fast(p[n][half + e]);
						ds[n][half + e] = p[n][half + e] * (ds[n][half + e] - d) * scale;
					}
				}
			unsigned wv[QUERIES / 16][4], wk[QUERIES / 16][4];
			UNROLL for (int n = 0; n < QUERIES / 16; n++) {
				weights(wv[n], p[2 * n], p[2 * n + 1]);
				weights(wk[n], ds[2 * n], ds[2 * n + 1]);
				pin(wv[n]);
				pin(wk[n]);
			}
			pin(sumK);
			begin(sumV); // and sumK
			UNROLL for (int n = 0; n < QUERIES / 16; n++) {
				multiply64<true>(sumV, wv[n], descriptor<true, STEP>(now + QTILE) + n * 16 * 128 / 16);
				multiply64<true>(sumK, wk[n], descriptor<true, STEP>(now) + n * 16 * 128 / 16);
			}
			commit();
		}
		finish(sumV); // and sumK
		pin(sumK);
		__syncthreads(); // before the tiles are used again
		if (dk)
			put_head<D>(dk, type, kv, (long)KV * wanted, sumK, row, from, to, wanted, lane, 1, 1);
		if (dv)
			put_head<D>(dv, type, kv, (long)KV * wanted, sumV, row, from, to, wanted, lane, 1, 1);
	}
}

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
		begin(sum); // as above
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
			UNROLL for (int n = 0; n < BLOCK / 8; n++)
				UNROLL for (int e = 0; e < 4; e++) p[n][e] = p[n][e] * (scale * LOG2E) - l[e / 2];
			hide(p, {s.visible(c, row + (int)lane / 4), s.visible(c, row + 8 + (int)lane / 4)}, lane);
			UNROLL for (int n = 0; n < BLOCK / 8; n++)
				UNROLL for (int e = 0; e < 4; e++) ds[n][e] = exp2_fast(p[n][e]) * (ds[n][e] - d[e / 2]) * scale;
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
	KERNEL __launch_bounds__(128) void attention_keys_grad_wgmma_##D(void *dk, void *dv, Rows q, Rows k, Rows v, Rows dout, \
	    const float *lse, const float *delta, const int *prefixStart, const int *prefixEnd, const int *segmentStart,    \
	    const int *spans, int T, int H, int KV, int wanted, float scale, int type) {                                    \
		keys_grad<D>(dk, dv, q, k, v, dout, lse, delta, Masks{prefixStart, prefixEnd, segmentStart}, spans, T, H, KV,   \
		             wanted, scale, type);                                                                              \
	}                                                                                                                   \
	KERNEL __launch_bounds__(128) void attention_queries_grad_wgmma_##D(void *dq, Rows q, Rows k, Rows v, Rows dout,    \
	    const float *lse, const float *delta, const int *prefixStart, const int *prefixEnd, const int *segmentStart,    \
	    int T, int H, int KV, int wanted, float scale, int type) {                                                      \
		queries_grad<D>(dq, q, k, v, dout, lse, delta, Masks{prefixStart, prefixEnd, segmentStart}, T, H, KV, wanted,   \
		                scale, type);                                                                                   \
	}
GRAD(64)
GRAD(128)
