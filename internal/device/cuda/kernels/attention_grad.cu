// The gradients of attention without atomics, so that they have the same bits
// every time (https://arxiv.org/abs/2307.08691, algorithm 2, in two kernels:
// one sums over queries, one over keys):
//
//	delta = sum of do*o    P = exp(scale q k' - lse)    dS = P * (do v' - delta) * scale
//	dv = P' do             dk = dS' q                   dq = dS k
#include "flash_grad.cuh"

// attention_delta is delta[T,H]; one warp for each.
template <class T> DEVICE void delta_of(float *delta, const T *o, const T *dout, int n, int wanted) {
	int i = (BLOCK_X * BLOCK_SIZE + THREAD_X) / 32, lane = THREAD_X % 32;
	if (i >= n)
		return;
	float s = 0;
	for (int c = lane; c < wanted; c += 32) s += widen(o[(long)i * wanted + c]) * widen(dout[(long)i * wanted + c]);
	UNROLL for (int m = 16; m; m /= 2) s += across(s, m);
	if (lane == 0)
		delta[i] = s;
}

KERNEL void attention_delta_f32(float *delta, const float *o, const float *dout, int n, int wanted) { delta_of(delta, o, dout, n, wanted); }
KERNEL void attention_delta_bf16(float *delta, const bf16 *o, const bf16 *dout, int n, int wanted) { delta_of(delta, o, dout, n, wanted); }

// attention_spans lists the ends of the spans, ascending: count, then ends. One
// block of 256.
KERNEL __launch_bounds__(256) void attention_spans(int *spans, const int *prefixStart, const int *prefixEnd, const int *segmentStart, int T) {
	__shared__ int counts[8];
	Masks m{prefixStart, prefixEnd, segmentStart};
	int lane = THREAD_X % 32, warp = THREAD_X / 32, before = 0;
	for (int from = 0; from < T; from += 256) {
		int i = from + (int)THREAD_X;
		bool end = i < T && (i + 1 == T || !m.same(i));
		unsigned bits = vote(end);
		if (lane == 0)
			counts[warp] = __builtin_popcount(bits);
		__syncthreads();
		int at = before;
		UNROLL for (int w = 0; w < 8; w++) {
			at += w < warp ? counts[w] : 0;
			before += counts[w];
		}
		if (end)
			spans[1 + at + __builtin_popcount(bits & ((1u << lane) - 1))] = i + 1;
		__syncthreads();
	}
	if (THREAD_X == 0)
		spans[0] = before;
}

// keys_grad is dk and dv of a block of keys and one key/value head. Keys of one
// segment are computed by themselves.
template <int D>
DEVICE void keys_grad(void *dk, void *dv, Rows q, Rows k, Rows v, Rows dout, const float *lse, const float *delta, Masks masks,
                      const int *spans, int T, int H, int KV, int wanted, float scale, int type) {
	constexpr int TILE = BLOCK * D * 2, QTILE = QUERIES * D * 2, STAGE = 2 * QTILE + QUERIES * 8;
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned keys = shared_address(memory), values = keys + TILE, stages = values + TILE;
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	int lo = (int)BLOCK_X * BLOCK, hi = min(T, lo + BLOCK), kv = BLOCK_Y, row = lo + (int)warp * 16;
	fetch_rows<BLOCK, D, 128>(keys, k + kv * D, (long)KV * D, lo, hi);
	fetch_rows<BLOCK, D, 128>(values, v + kv * D, (long)KV * D, lo, hi);
	copies_commit();
	auto fetch = [&](const Walk &w, unsigned at) {
		if (!w.done()) {
			fetch_rows<QUERIES, D, 128>(at, q + w.head * D, (long)H * D, w.tile, w.end);
			fetch_rows<QUERIES, D, 128>(at + QTILE, dout + w.head * D, (long)H * D, w.tile, w.end);
			if (THREAD_X < 2 * QUERIES) {
				int i = w.tile + THREAD_X % QUERIES;
				bool there = i < w.end;
				copy4(at + 2 * QTILE + THREAD_X * 4, (THREAD_X < QUERIES ? lse : delta) + (there ? (long)i * H + w.head : 0), there);
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
		fetch(ahead, stages);
		for (int turn = 0; !ahead.done(); turn ^= 1) {
			Mask mask = ahead.mask;
			int tile = ahead.tile, end = ahead.end;
			ahead.next();
			copies_wait<0>();
			__syncthreads();
			unsigned now = stages + turn * STAGE;
			fetch(ahead, stages + (turn ^ 1) * STAGE);
			float p[QUERIES / 8][4], ds[QUERIES / 8][4];
			clear(p);
			clear(ds);
			score<D, QUERIES / 8>(p, keys, warp * 16, now, lane);
			score<D, QUERIES / 8>(ds, values, warp * 16, now + QTILE, lane);
			UNROLL for (int n = 0; n < QUERIES / 8; n++)
				UNROLL for (int e = 0; e < 2; e++) {
					unsigned c = n * 8 + lane % 4 * 2 + e;
					int i = tile + c;
					float l = shared_float(now + 2 * QTILE + c * 4) * LOG2E, d = shared_float(now + 2 * QTILE + (QUERIES + c) * 4);
					UNROLL for (int half = 0; half < 4; half += 2) {
						int j = row + half * 4 + lane / 4;
						bool sees = (i < end) & mask.sees(i, j);
						float x = p[n][half + e] * (scale * LOG2E) - l;
						x = sees ? x : NONE;
						p[n][half + e] = exp2_fast(x);
						ds[n][half + e] = p[n][half + e] * (ds[n][half + e] - d) * scale;
					}
				}
			weigh<D, QUERIES / 8>(sumV, p, now + QTILE, lane);
			weigh<D, QUERIES / 8>(sumK, ds, now, lane);
		}
		copies_wait<0>();
		__syncthreads();
		if (dk)
			put_head<D>(dk, type, kv, (long)KV * wanted, sumK, row, from, to, wanted, lane, 1, 1);
		if (dv)
			put_head<D>(dv, type, kv, (long)KV * wanted, sumV, row, from, to, wanted, lane, 1, 1);
	}
}

// queries_grad is dq of a block of queries and one head.
template <int D>
DEVICE void queries_grad(void *dq, Rows q, Rows k, Rows v, Rows dout, const float *lse, const float *delta, Masks masks, int T, int H,
                         int KV, int wanted, float scale, int type) {
	constexpr int TILE = BLOCK * D * 2;
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned queries = shared_address(memory), grads = queries + TILE, stages = grads + TILE;
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	int lo = ((T + BLOCK - 1) / BLOCK - 1 - (int)BLOCK_X) * BLOCK, hi = min(T, lo + BLOCK);
	int head = BLOCK_Y, kv = head / (H / KV), row = lo + (int)warp * 16;
	fetch_rows<BLOCK, D, 128>(queries, q + head * D, (long)H * D, lo, hi);
	fetch_rows<BLOCK, D, 128>(grads, dout + head * D, (long)H * D, lo, hi);
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
				fetch_rows<BLOCK, D, 128>(at, k + kv * D, (long)KV * D, key, key + s.length(c));
				fetch_rows<BLOCK, D, 128>(at + TILE, v + kv * D, (long)KV * D, key, key + s.length(c));
			}
			copies_commit();
		};
		float sum[D / 8][4];
		clear(sum);
		fetch(0, stages);
		for (int c = 0; c < s.tiles; c++) {
			copies_wait<0>();
			__syncthreads();
			unsigned now = stages + (c & 1) * 2 * TILE;
			fetch(c + 1, stages + (~c & 1) * 2 * TILE);
			float p[BLOCK / 8][4], ds[BLOCK / 8][4];
			clear(p);
			clear(ds);
			score<D, BLOCK / 8>(p, queries, warp * 16, now, lane);
			score<D, BLOCK / 8>(ds, grads, warp * 16, now + TILE, lane);
			UNROLL for (int half = 0; half < 2; half++) {
				int visible = s.visible(c, row + half * 8 + lane / 4);
				UNROLL for (int n = 0; n < BLOCK / 8; n++)
					UNROLL for (int e = 0; e < 2; e++) {
						float &x = p[n][half * 2 + e], &y = ds[n][half * 2 + e];
						int j = n * 8 + lane % 4 * 2 + e;
						y = exp2_fast(j < visible ? x * (scale * LOG2E) - l[half] : NONE) * (y - d[half]) * scale;
					}
			}
			weigh<D, BLOCK / 8>(sum, ds, now, lane);
		}
		copies_wait<0>();
		__syncthreads();
		put_head<D>(dq, type, head, (long)H * wanted, sum, row, from, to, wanted, lane, 1, 1);
		from = to;
	}
}

#define GRAD(D)                                                                                                         \
	KERNEL __launch_bounds__(128) void attention_keys_grad_##D(void *dk, void *dv, Rows q, Rows k, Rows v, Rows dout,   \
	    const float *lse, const float *delta, const int *prefixStart, const int *prefixEnd, const int *segmentStart,    \
	    const int *spans, int T, int H, int KV, int wanted, float scale, int type) {                                    \
		keys_grad<D>(dk, dv, q, k, v, dout, lse, delta, Masks{prefixStart, prefixEnd, segmentStart}, spans, T, H, KV,   \
		             wanted, scale, type);                                                                              \
	}                                                                                                                   \
	KERNEL __launch_bounds__(128) void attention_queries_grad_##D(void *dq, Rows q, Rows k, Rows v, Rows dout,          \
	    const float *lse, const float *delta, const int *prefixStart, const int *prefixEnd, const int *segmentStart,    \
	    int T, int H, int KV, int wanted, float scale, int type) {                                                      \
		queries_grad<D>(dq, q, k, v, dout, lse, delta, Masks{prefixStart, prefixEnd, segmentStart}, T, H, KV, wanted,   \
		                scale, type);                                                                                   \
	}
GRAD(16)
GRAD(32)
GRAD(64)
GRAD(128)
