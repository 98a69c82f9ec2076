// o = softmax(scale q k') v and lse, in tiles (FlashAttention,
// https://arxiv.org/abs/2205.14135, algorithm 1; one block of queries and one
// head per block of threads, as in https://arxiv.org/abs/2307.08691).
#include "flash.cuh"

// Packed are keys and values as bf16 rows of padded heads, in a pack.
struct Packed {
	Rows k, v;
	long step;
	template <int D> DEVICE void fetch(unsigned keys, unsigned values, int from, int n) const {
		fetch_rows<BLOCK, D, 128>(keys, k, step, from, from + n);
		fetch_rows<BLOCK, D, 128>(values, v, step, from, from + n);
	}
};

// Cached are keys and values as rows of a cache; those of float32 are rounded on
// their way.
template <class T> struct Cached {
	const T *k, *v;
	long step;
	int wanted;
	template <int D> DEVICE void fetch(unsigned keys, unsigned values, int from, int n) const {
		copy<D>(keys, k, from, n);
		copy<D>(values, v, from, n);
	}
	template <int D> DEVICE void copy(unsigned tile, const T *x, int from, int n) const {
		for (int i = THREAD_X; i < BLOCK * D / 8; i += 128) {
			int line = i / (D / 8), c = i % (D / 8) * 8;
			const T *at = x + (from + line) * step + c;
			if (sizeof(T) == 2 && wanted % 8 == 0) {
				bool there = (line < n) & (c < wanted);
				copy16(tile + tile_at<D / 8>(line, c / 8), there ? at : x, there);
				continue;
			}
			float w[8];
			if (sizeof(T) == 4 && line < n && wanted % 4 == 0 && c + 8 <= wanted) {
				UNROLL for (int j = 0; j < 8; j += WIDE<T>) unpack(w + j, at + j);
			} else {
				UNROLL for (int j = 0; j < 8; j++) w[j] = line < n && c + j < wanted ? widen(at[j]) : 0;
			}
			store16(tile + tile_at<D / 8>(line, c / 8), bf16_pair(w[0], w[1]), bf16_pair(w[2], w[3]), bf16_pair(w[4], w[5]), bf16_pair(w[6], w[7]));
		}
	}
};

// attend computes rows [s.from, s.to) of a block whose queries are in `queries`.
// place(c) is the row of tile c's first key.
template <int D, class Place, class Source>
DEVICE void attend(Softmax &m, float (&o)[D / 8][4], const unsigned (&q)[D / 16][4], Span s, Place place, Source source, int row,
                   float scale, unsigned memory) {
	constexpr int TILE = BLOCK * D * 2;
	unsigned lane = THREAD_X % 32;
	auto fetch = [&](int c, unsigned at) {
		if (c < s.tiles)
			source.template fetch<D>(at, at + TILE, place(c), s.length(c));
		copies_commit();
	};
	fetch(0, memory);
	for (int c = 0; c < s.tiles; c++) {
		copies_wait<0>();
		__syncthreads();
		unsigned now = memory + (c & 1) * 2 * TILE;
		fetch(c + 1, memory + (~c & 1) * 2 * TILE);
		float p[BLOCK / 8][4];
		clear(p);
		UNROLL for (int d = 0; d < D; d += 16)
			UNROLL for (int n = 0; n < BLOCK / 8; n += 2) {
				unsigned b[4];
				right_fragments<D / 8, false>(b, now, n * 8, d, lane);
				multiply(p[n], q[d / 16], b[0], b[1]);
				multiply(p[n + 1], q[d / 16], b[2], b[3]);
			}
		UNROLL for (int half = 0; half < 2; half++) {
			int visible = s.visible(c, row + half * 8 + lane / 4);
			UNROLL for (int n = 0; n < BLOCK / 8; n++)
				UNROLL for (int e = 0; e < 2; e++) {
					int j = n * 8 + lane % 4 * 2 + e;
					float x = no_fma(p[n][half * 2 + e], scale); // outside of the choice, which would branch
					p[n][half * 2 + e] = j < visible ? x : NONE;
				}
		}
		m.add(p, o);
		weigh<D, BLOCK / 8>(o, p, now + TILE, lane);
	}
	__syncthreads(); // before the tiles are used again
	m.finish();
}

template <int D>
DEVICE void attention(void *o, float *lse, Rows q, Rows k, Rows v, Masks masks, int T, int H, int KV, int wanted, float scale, int type) {
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned base = shared_address(memory);
	int kv = (int)BLOCK_Y / (H / KV);
	each_span<D>(o, lse, q, masks, T, H, wanted, type, base, [&](Softmax &m, float(&sum)[D / 8][4], const unsigned(&fragments)[D / 16][4], Span s, Mask mask, int row) __attribute__((always_inline)) {
		auto place = [&](int c) { return s.place(mask, c); };
		attend<D>(m, sum, fragments, s, place, Packed{k + kv * D, v + kv * D, (long)KV * D}, row, scale * LOG2E, base);
	});
}

// attention_cached reads keys and values from pages of BLOCK rows. A block of
// threads has the rows of one sequence from row BLOCK_X on that follow one
// another, up to the end of a page; blocks for other rows have nothing to do.
template <int D, class E>
DEVICE void attention_cached(E *o, Rows q, const E *k, const E *v, const int *sequence, const int *own, const int *pages, const int *prefix,
                             int T, int H, int KV, int wanted, int table, float scale) {
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned base = shared_address(memory), lane = THREAD_X % 32, warp = THREAD_X / 32;
	int lo = BLOCK_X, head = BLOCK_Y, kv = head / (H / KV), row = lo + (int)warp * 16;
	auto begins = [&](int i) { // row i is not of the run of row i-1
		return i == 0 || i >= T || sequence[i] != sequence[i - 1] || own[i] != own[i - 1] + 1 || (own[i] - 1) % BLOCK == 0;
	};
	if (!begins(lo))
		return;
	unsigned long ends = ends_of([&](int i) { return !begins(i + 1); }, lo, min(T, lo + BLOCK), lane);
	int to = lo + first_end(ends, 0), shared = prefix[sequence[lo]];
	const int *list = pages + (long)sequence[lo] * table;
	unsigned fragments[D / 16][4];
	queries<D>(fragments, q + head * D, (long)H * D, lo, to, warp, base);
	Span s{lo, to, shared, own[to - 1], own[lo] - 1 - lo};
	s.count();
	auto place = [&](int c) { return list[c] * BLOCK; };
	Softmax m;
	float sum[D / 8][4];
	clear(sum);
	attend<D>(m, sum, fragments, s, place, Cached<E>{k + kv * wanted, v + kv * wanted, (long)KV * wanted, wanted}, row, scale * LOG2E, base);
	put_rows<D>(o + head * wanted, (long)H * wanted, sum, row, lo, to, wanted, lane, m.inverse(0), m.inverse(1));
}

// So many blocks share a multiprocessor, which gives a thread 255 or 168 registers.
#define BLOCKS(D) (D == 128 ? 2 : 3)

#define CACHED(name, D, E)                                                                                              \
	KERNEL __launch_bounds__(128, BLOCKS(D)) void attention_cached_##name##_##D(E *o, Rows q, const E *k, const E *v,               \
	    const int *sequence, const int *own, const int *pages, const int *prefix, int T, int H, int KV, int wanted, int table, float scale) { \
		attention_cached<D>(o, q, k, v, sequence, own, pages, prefix, T, H, KV, wanted, table, scale);                   \
	}
#define ATTENTION(D)                                                                                                    \
	KERNEL __launch_bounds__(128, BLOCKS(D)) void attention_##D(void *o, float *lse, Rows q, Rows k, Rows v, const int *prefixStart, \
	    const int *prefixEnd, const int *segmentStart, int T, int H, int KV, int wanted, float scale, int type) {        \
		attention<D>(o, lse, q, k, v, Masks{prefixStart, prefixEnd, segmentStart}, T, H, KV, wanted, scale, type);       \
	}                                                                                                                    \
	CACHED(f32, D, float)                                                                                                \
	CACHED(bf16, D, bf16)
ATTENTION(16)
ATTENTION(32)
ATTENTION(64)
ATTENTION(128)
