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
		if (sizeof(T) == 2 && wanted % 8 == 0) {
			constexpr int S = D / 8, LINES = 128 / S; // as in fetch_rows
			int line = (int)THREAD_X / S, c = (int)THREAD_X % S * 8;
			unsigned to = tile + tile_at<S>(line, c / 8);
			const T *at = x + (from + line) * step + c;
			UNROLL for (int i = 0; i < BLOCK; i += LINES, at += LINES * step) {
				bool there = (line + i < n) & (c < wanted);
				copy16(to + i * D * 2, there ? at : x, there);
			}
			return;
		}
		for (int i = THREAD_X; i < BLOCK * D / 8; i += 128) {
			int line = i / (D / 8), c = i % (D / 8) * 8;
			const T *at = x + (from + line) * step + c;
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

// attend computes the rows of a block whose queries are in q, over tiles [first,
// end) of s. place(c) is the row of tile c's first key; row(half) are the thread's two
// rows. A warp that is not busy has none, and copies only.
template <int D, class Place, class Row, class Source, class Parts>
DEVICE void attend(Softmax &m, float (&o)[D / 8][4], const unsigned (&q)[D / 16][4], const Span &s, int first, int end, Place place, Row row,
                   Source source, Parts &parts, bool busy, float scale, unsigned memory) {
	constexpr int TILE = BLOCK * D * 2;
	unsigned lane = THREAD_X % 32;
	auto fetch = [&](int c, unsigned at) {
		if (c < end)
			source.template fetch<D>(at, at + TILE, place(c), s.length(c));
		copies_commit();
	};
	int stop = min(end, first + PART);
	fetch(first, memory);
	for (int c = first; c < end; c++) {
		copies_wait<0>();
		__syncthreads();
		unsigned now = memory + (c & 1) * 2 * TILE;
		fetch(c + 1, memory + (~c & 1) * 2 * TILE);
		if (!busy)
			continue;
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
			int visible = s.visible(c, row(half));
			UNROLL for (int n = 0; n < BLOCK / 8; n++)
				UNROLL for (int e = 0; e < 2; e++) {
					int j = n * 8 + lane % 4 * 2 + e;
					float x = no_fma(p[n][half * 2 + e], scale); // outside of the choice, which would branch
					p[n][half * 2 + e] = j < visible ? x : NONE;
				}
		}
		float shrink[2];
		m.add(p, shrink);
		scale_rows(o, shrink);
		weigh<D, BLOCK / 8>(o, p, now + TILE, lane);
		if (c + 1 == stop) {
			parts.end(m, o, c < first + PART, stop == end);
			stop = min(end, stop + PART);
		}
	}
	__syncthreads(); // before the tiles are used again
}

template <int D>
DEVICE void attention(void *o, float *lse, float *parts, Rows q, Rows k, Rows v, Masks masks, int T, int H, int KV, int wanted, float scale, int type) {
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned base = shared_address(memory);
	int kv = (int)BLOCK_Y / (H / KV);
	each_span<D>(o, lse, parts, q, masks, T, H, wanted, type, base, [&](Softmax &m, float(&sum)[D / 8][4], const unsigned(&fragments)[D / 16][4], Span s, Mask mask, int row, auto &kept) __attribute__((always_inline)) {
		auto place = [&](int c) { return s.place(mask, c); };
		auto line = [&](int half) { return row + half * 8 + (int)(THREAD_X % 32) / 4; };
		attend<D>(m, sum, fragments, s, 0, s.tiles, place, line, Packed{k + kv * D, v + kv * D, (long)KV * D}, kept, true, scale * LOG2E, base);
	});
}

// Lines are the rows of a block over a cache: line i is row i/heads of a run that
// begins at row `lo`, and head i%heads of `heads` that share keys and values.
struct Lines {
	int lo, rows, head, heads, inverse;
	DEVICE Lines(int lo, int rows, int head, int heads) : lo(lo), rows(rows), head(head), heads(heads), inverse(65536 / heads + 1) {}
	DEVICE bool has(int i) const { return i < rows * heads; }
	DEVICE int run(int i) const { return i * inverse >> 16; } // i / heads, for i and heads up to 64
	DEVICE int row(int i) const { return lo + run(i); }
	DEVICE long place(int i, int H) const { return (long)row(i) * H + head + i - run(i) * heads; } // of [T, H]
};

// queries_of is queries for lines.
template <int D> DEVICE void queries_of(unsigned (&q)[D / 16][4], Rows x, const Lines &l, int H, unsigned memory) {
	for (int i = THREAD_X; i < BLOCK * D / 8; i += 128) {
		int line = i / (D / 8), c = i % (D / 8);
		copy16(memory + tile_at<D / 8>(line, c), l.has(line) ? x + l.place(line, H) * D + c * 8 : x, l.has(line));
	}
	copies_commit();
	copies_wait<0>();
	__syncthreads();
	UNROLL for (int d = 0; d < D; d += 16) left_fragment<D / 8, false>(q[d / 16], memory, THREAD_X / 32 * 16, d, THREAD_X % 32);
	__syncthreads();
}

// Cache is what a call of attention_cached reads beside queries: pages of BLOCK rows.
struct Cache {
	const int *sequence, *own, *pages, *prefix;
	int table;
	// begins says that row i is not of the run of row i-1.
	DEVICE bool begins(int i, int T) const {
		return i == 0 || i >= T || sequence[i] != sequence[i - 1] || own[i] != own[i - 1] + 1 || (own[i] - 1) % BLOCK == 0;
	}
};

// attention_cached has for each block of threads the rows of one sequence from row
// BLOCK_X on that follow one another, up to the end of a page, and `group` heads from
// BLOCK_Y*group on, which share keys and values: `group` times the rows of a run is at
// most BLOCK. Blocks for other rows have nothing to do. With more than one of `parts` a block has part
// BLOCK_Z of the keys alone, and attention_join adds the parts up.
template <int D, class E>
DEVICE void attention_cached(E *o, float *kept, Rows q, const E *k, const E *v, Cache cache, int T, int H, int KV, int wanted, float scale, int group, int parts) {
	extern __shared__ __attribute__((aligned(128))) unsigned char memory[];
	unsigned base = shared_address(memory), lane = THREAD_X % 32;
	int lo = BLOCK_X, from = BLOCK_Z * PART;
	if (!cache.begins(lo, T))
		return;
	unsigned long ends = ends_of([&](int i) { return !cache.begins(i + 1, T); }, lo, min(T, lo + BLOCK), lane);
	int to = lo + first_end(ends, 0), sequence = cache.sequence[lo];
	const int *list = cache.pages + (long)sequence * cache.table;
	Span s{lo, to, cache.prefix[sequence], cache.own[to - 1], cache.own[lo] - 1 - lo};
	s.count();
	int end = parts > 1 ? min(s.tiles, from + PART) : s.tiles;
	if (parts > 1 && from >= end)
		return;
	int head = BLOCK_Y * group, kv = head / (H / KV);
	auto place = [&](int c) { return list[c] * BLOCK; };
	Lines lines(lo, to - lo, head, group);
	unsigned fragments[D / 16][4];
	queries_of<D>(fragments, q, lines, H, base);
	int line = THREAD_X / 32 * 16 + lane / 4;
	auto row = [&](int half) { return lines.row(line + half * 8); };
	auto state = [&](int half) { return lines.place(line + half * 8, H) * parts + (int)BLOCK_Z; };
	auto before = kept_at<D>([&](int half) { return lines.has(line + half * 8) ? kept + state(half) * D : nullptr; });
	Softmax m;
	float sum[D / 8][4];
	clear(sum);
	attend<D>(m, sum, fragments, s, from, end, place, row, Cached<E>{k + kv * wanted, v + kv * wanted, (long)KV * wanted, wanted}, before, lines.has(THREAD_X / 32 * 16), scale * LOG2E, base);
	late(line), late(wanted), late(lane);
	UNROLL for (int half = 0; half < 2; half++) {
		if (!lines.has(line + half * 8))
			continue;
		if (parts > 1) {
			put_line<D>(kept + state(half) * D, sum, half, D, lane, 1);
			if (lane % 4 == 0)
				((float2 *)(kept + (long)T * H * parts * D))[state(half)] = float2{m.top[half], m.sum[half]};
		} else
			put_line<D>(o + lines.place(line + half * 8, H) * wanted, sum, half, wanted, lane, m.inverse(half));
	}
}

// attention_join adds up the parts of a row in ascending order, as a block that goes
// through all of them does. A thread has an element of o. It reads AHEAD parts while
// it adds those before.
template <class E> DEVICE void attention_join(E *o, const float *kept, Cache cache, int T, int H, int wanted, int width, int parts) {
	constexpr int AHEAD = 4;
	int row = BLOCK_X, at = BLOCK_Y * BLOCK_SIZE + THREAD_X;
	if (at >= H * wanted)
		return;
	int head = at / wanted;
	long state = ((long)row * H + head) * parts;
	const float *x = kept + state * width + at % wanted;
	const float2 *states = (const float2 *)(kept + (long)T * H * parts * width) + state;
	Span s{row, row + 1, cache.prefix[cache.sequence[row]], cache.own[row], 0};
	s.count();
	int n = min(parts, (s.tiles + PART - 1) / PART);
	float top = NONE, sum = 0, y = 0, next[AHEAD];
	float2 nextState[AHEAD];
	auto read = [&](int from) {
		UNROLL for (int i = 0; i < AHEAD; i++) {
			int p = min(from + i, n - 1);
			next[i] = x[(long)p * width], nextState[i] = states[p];
		}
	};
	if (n > 0)
		read(0);
	for (int from = 0; from < n; from += AHEAD) {
		float now[AHEAD];
		float2 nowState[AHEAD];
		UNROLL for (int i = 0; i < AHEAD; i++) now[i] = next[i], nowState[i] = nextState[i];
		read(from + AHEAD);
		UNROLL for (int i = 0; i < AHEAD; i++) {
			if (from + i >= n)
				break;
			if (from + i == 0) {
				top = nowState[i].x, sum = nowState[i].y, y = now[i];
				continue;
			}
			Joined j(top, sum, nowState[i].x, nowState[i].y);
			y = j.of(y, now[i]), top = j.top, sum = j.sum;
		}
	}
	narrow(o[(long)row * H * wanted + at], y * (sum == 0 ? 0 : 1 / sum));
}

// So many blocks share a multiprocessor, which gives a thread 255 or 168 registers.
#define BLOCKS(D) (D == 128 ? 2 : 3)

#define CACHED(name, D, E)                                                                                              \
	KERNEL __launch_bounds__(128, BLOCKS(D)) void attention_cached_##name##_##D(E *o, float *kept, Rows q, const E *k, const E *v,  \
	    const int *sequence, const int *own, const int *pages, const int *prefix, int T, int H, int KV, int wanted, int table,      \
	    float scale, int group, int parts) {                                                                             \
		attention_cached<D>(o, kept, q, k, v, Cache{sequence, own, pages, prefix, table}, T, H, KV, wanted, scale, group, parts);   \
	}
#define ATTENTION(D)                                                                                                    \
	KERNEL __launch_bounds__(128, BLOCKS(D)) void attention_##D(void *o, float *lse, float *parts, Rows q, Rows k, Rows v, const int *prefixStart, \
	    const int *prefixEnd, const int *segmentStart, int T, int H, int KV, int wanted, float scale, int type) {        \
		attention<D>(o, lse, parts, q, k, v, Masks{prefixStart, prefixEnd, segmentStart}, T, H, KV, wanted, scale, type); \
	}                                                                                                                    \
	CACHED(f32, D, float)                                                                                                \
	CACHED(bf16, D, bf16)
ATTENTION(16)
ATTENTION(32)
ATTENTION(64)
ATTENTION(128)

#define JOIN(name, E)                                                                                                   \
	KERNEL void attention_join_##name(E *o, const float *kept, const int *sequence, const int *own, const int *prefix, int T, int H, \
	    int wanted, int width, int parts) {                                                                              \
		attention_join<E>(o, kept, Cache{sequence, own, nullptr, prefix, 0}, T, H, wanted, width, parts);                \
	}
JOIN(f32, float)
JOIN(bf16, bf16)
