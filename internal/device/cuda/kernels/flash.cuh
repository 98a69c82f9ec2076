// What the attention kernels share. Queries, keys, values and gradients come as
// bf16 rows [T, heads, D] with D padded by zeros to 16, 32, 64 or 128.
//
// Rows that follow one another and have the same three mask values make a span.
// Tiles of keys begin at a span's prefix and at its segment, tiles of queries in
// sums over queries at their span: the order of every sum is the same wherever
// the segment stands in the pack. A span is computed by itself, so that what
// other documents hold, NaN included, cannot reach it.
#pragma once
#include "tensor.cuh"

#define BLOCK 64 // rows of queries of a block, and of keys in a tile (device.PageRows)
#define PART 16  // tiles of keys that a row sums by themselves, counted from its first
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f
#define NONE (-__builtin_inff())

typedef const unsigned short *Rows;

struct Mask {
	int prefixStart, prefixEnd, segmentStart;
	DEVICE bool operator==(Mask m) const {
		return prefixStart == m.prefixStart && prefixEnd == m.prefixEnd && segmentStart == m.segmentStart;
	}
	// Without && and ||, which branch.
	DEVICE bool sees(int i, int j) const { return ((prefixStart <= j) & (j < prefixEnd)) | ((segmentStart <= j) & (j <= i)); }
};

struct Masks {
	const int *prefixStart, *prefixEnd, *segmentStart;
	DEVICE Mask at(int i) const { return Mask{prefixStart[i], prefixEnd[i], segmentStart[i]}; }
	DEVICE bool same(int i) const { return at(i) == at(i + 1); } // rows i and i+1 are of one span
};

// Span is rows [from, to) of the block and the tiles of keys that they see: of
// the prefix first, then of the segment, where row i sees keys up to i+shift,
// counted from the segment's start.
struct Span {
	int from, to, prefix, own, shift, prefixTiles, tiles;
	DEVICE void count() {
		prefixTiles = (prefix + BLOCK - 1) / BLOCK;
		tiles = prefixTiles + (own > 0 ? (own + BLOCK - 1) / BLOCK : 0);
	}
	// place is the row of tile c's first key in a pack.
	DEVICE int place(Mask m, int c) const { return c < prefixTiles ? m.prefixStart + c * BLOCK : m.segmentStart + (c - prefixTiles) * BLOCK; }
	// visible is the number of keys of tile c that row i sees; not above 0 for none.
	DEVICE int visible(int c, int i) const {
		int n = length(c);
		return c < prefixTiles ? n : min(n, i + shift + 1 - (c - prefixTiles) * BLOCK);
	}
	// length is the number of keys in tile c.
	DEVICE int length(int c) const { return c < prefixTiles ? min(BLOCK, prefix - c * BLOCK) : min(BLOCK, own - (c - prefixTiles) * BLOCK); }
};

// fetch_rows starts the copies of ROWS rows of one head from row `from`; rows
// from `end` on are zeros. `step` is the elements from one row to the next.
template <int ROWS, int D, int THREADS> DEVICE void fetch_rows(unsigned tile, Rows x, long step, int from, int end) {
	constexpr int S = D / 8, LINES = THREADS / S; // lines that the threads copy at a time
	static_assert(LINES % 8 == 0); // chunks of a thread lie alike in their lines
	int line = (int)THREAD_X / S, c = (int)THREAD_X % S;
	unsigned to = tile + tile_at<S>(line, c);
	Rows at = x + (from + line) * step + c * 8;
	UNROLL for (int i = 0; i < ROWS; i += LINES)
		if (ROWS % LINES == 0 || line + i < ROWS)
			copy16(to + i * D * 2, at + i * step, from + line + i < end);
}

// ends_of is a bit for each of up to 64 rows from `lo` that is the last of its
// kind before `hi`: same(i) says whether row i+1 is of row i's. All lanes of a
// warp call it.
template <class Same> DEVICE unsigned long ends_of(Same same, int lo, int hi, unsigned lane) {
	unsigned long bits = 0;
	UNROLL for (int half = 0; half < 2; half++) {
		int i = lo + half * 32 + (int)lane;
		bool end = i < hi && (i + 1 == hi || !same(i));
		bits |= (unsigned long)vote(end) << (32 * half);
	}
	return bits;
}

// first_end is the place behind the first bit from `from` on.
DEVICE int first_end(unsigned long bits, int from) { return from + __builtin_ctzl(bits >> from) + 1; }

// weights turns two neighbouring tiles of 8 columns into a left side of 16.
DEVICE void weights(unsigned (&a)[4], const float (&low)[4], const float (&high)[4]) {
	a[0] = bf16_pair(low[0], low[1]), a[1] = bf16_pair(low[2], low[3]);
	a[2] = bf16_pair(high[0], high[1]), a[3] = bf16_pair(high[2], high[3]);
}

template <int N> DEVICE void clear(float (&x)[N][4]) {
	UNROLL for (int i = 0; i < N; i++)
		UNROLL for (int e = 0; e < 4; e++) x[i][e] = 0;
}

// score adds 16 rows of a left tile times `8*N` rows of a right tile, over D.
template <int D, int N> DEVICE void score(float (&s)[N][4], unsigned left, unsigned row, unsigned right, unsigned lane) {
	UNROLL for (int k = 0; k < D; k += 16) {
		unsigned a[4];
		left_fragment<D / 8, false>(a, left, row, k, lane);
		UNROLL for (int n = 0; n < N; n += 2) {
			unsigned b[4];
			right_fragments<D / 8, false>(b, right, n * 8, k, lane);
			multiply(s[n], a, b[0], b[1]);
			multiply(s[n + 1], a, b[2], b[3]);
		}
	}
}

// scale_rows multiplies two rows by a factor each.
template <int N> DEVICE void scale_rows(float (&o)[N][4], const float (&by)[2]) {
	UNROLL for (int n = 0; n < N; n++)
		UNROLL for (int e = 0; e < 4; e++) o[n][e] *= by[e / 2];
}

// weigh adds 16 x 8N weights times 8N rows of a tile.
template <int D, int N> DEVICE void weigh(float (&o)[D / 8][4], const float (&p)[N][4], unsigned tile, unsigned lane) {
	UNROLL for (int k = 0; k < N; k += 2) {
		unsigned a[4];
		weights(a, p[k], p[k + 1]);
		UNROLL for (int n = 0; n < D / 8; n += 2) {
			unsigned b[4];
			right_fragments<D / 8, true>(b, tile, n * 8, k * 8, lane);
			multiply(o[n], a, b[0], b[1]);
			multiply(o[n + 1], a, b[2], b[3]);
		}
	}
}

// late keeps what is computed from n behind this place: the compiler would make
// the end's addresses and comparisons before the loop over the tiles, whose
// registers are all in use.
template <class N> DEVICE void late(N &n) { asm volatile("" : "+r"(n)); }

// put_line writes the thread's columns of one of its two rows, of which `wanted` are there.
template <int D, class T> DEVICE void put_line(T *to, const float (&o)[D / 8][4], int half, int wanted, unsigned lane, float scale) {
	to += lane % 4 * 2;
	if (wanted == D) {
		UNROLL for (int n = 0; n < D / 8; n++) put2(to + n * 8, o[n][half * 2] * scale, o[n][half * 2 + 1] * scale);
		return;
	}
	UNROLL for (int n = 0; n < D / 8; n++)
		UNROLL for (int e = 0; e < 2; e++)
			if (n * 8 + lane % 4 * 2 + e < wanted)
				narrow(to[n * 8 + e], o[n][half * 2 + e] * scale);
}

// put_rows writes 16 rows of D columns, of which `wanted` are there, for rows
// first <= i < end.
template <int D, class T> DEVICE void put_rows(T *y, long step, const float (&o)[D / 8][4], int row, int first, int end, int wanted, unsigned lane, float high, float low) {
	late(row), late(wanted), late(lane);
	UNROLL for (int half = 0; half < 2; half++) {
		int i = row + half * 8 + lane / 4;
		if (i >= first && i < end)
			put_line<D>(y + i * step, o, half, wanted, lane, half ? low : high);
	}
}

// put_head is put_rows for one head of `wanted` columns of rows of `step`, in the type.
template <int D> DEVICE void put_head(void *y, int type, int head, long step, const float (&o)[D / 8][4], int row, int first, int end, int wanted, unsigned lane, float high, float low) {
	if (type == TYPE_F32)
		put_rows<D>((float *)y + head * wanted, step, o, row, first, end, wanted, lane, high, low);
	else
		put_rows<D>((bf16 *)y + head * wanted, step, o, row, first, end, wanted, lane, high, low);
}

// softmax turns scores into weights relative to the largest of each row so far.
struct Softmax {
	float top[2] = {NONE, NONE}, sum[2] = {0, 0};

	// add leaves in shrink what o of the tiles before is to be multiplied by, for both rows.
	template <int N> DEVICE void add(float (&s)[N][4], float (&shrink)[2]) {
		UNROLL for (int half = 0; half < 2; half++) {
			float most = top[half];
			UNROLL for (int n = 0; n < N; n++) most = larger(most, larger(s[n][half * 2], s[n][half * 2 + 1]));
			most = larger(most, across(most, 1));
			most = larger(most, across(most, 2));
			float base = most == NONE ? 0 : most, added = 0;
			shrink[half] = exp2_fast(top[half] - base);
			top[half] = most;
			UNROLL for (int n = 0; n < N; n++)
				UNROLL for (int e = 0; e < 2; e++) {
					float p = exp2_fast(s[n][half * 2 + e] - base);
					s[n][half * 2 + e] = p;
					added += p;
				}
			sum[half] = __builtin_fmaf(sum[half], shrink[half], added);
		}
	}
	// finish adds up the lanes of a row; they hold the same then.
	DEVICE void finish() {
		UNROLL for (int half = 0; half < 2; half++) {
			sum[half] += across(sum[half], 1);
			sum[half] += across(sum[half], 2);
		}
	}
	DEVICE float inverse(int half) const { return sum[half] == 0 ? 0 : 1 / sum[half]; }
};

// Joined is a row's parts so far with one more behind them: both in the measure of
// the larger of their largest scores. A part of which the row sees nothing leaves
// every bit, so that it does not matter who else in the block sees some of it.
struct Joined {
	float top, sum, before, part; // and the factors of both sides' o
	DEVICE Joined(float top0, float sum0, float top1, float sum1) {
		top = larger(top0, top1);
		float base = top == NONE ? 0 : top;
		before = exp2_fast(top0 - base), part = sum1 == 0 ? 0 : exp2_fast(top1 - base);
		sum = of(sum0, sum1);
	}
	DEVICE float of(float a, float b) const {
		float x = __builtin_fmaf(a, before, no_fma(b, part));
		return part == 0 ? a : x;
	}
};

// Kept is where a thread keeps o of the parts so far, in float32 rows of D that no
// other thread touches: registers are all in use. It is asked for once a part.
// place(half) is where the thread's row begins, null where the row is not the block's.
template <int D, class Place> struct Kept {
	Place place;
	float top[2], sum[2]; // of the parts so far, once there is one
	DEVICE Kept(Place place) : place(place) {}
	// end closes a part: what is added up goes on in m and o, or, behind the last
	// one, is left there.
	DEVICE void end(Softmax &m, float (&o)[D / 8][4], bool first, bool last) {
		m.finish();
		if (first && last)
			return;
		UNROLL for (int half = 0; half < 2; half++) {
			float *at = place(half);
			if (!at)
				continue;
			at += THREAD_X % 4 * 2;
			if (!first) {
				Joined j(top[half], sum[half], m.top[half], m.sum[half]);
				UNROLL for (int n = 0; n < D / 8; n++) {
					float2 was = *(const float2 *)(at + n * 8);
					o[n][half * 2] = j.of(was.x, o[n][half * 2]), o[n][half * 2 + 1] = j.of(was.y, o[n][half * 2 + 1]);
				}
				m.top[half] = j.top, m.sum[half] = j.sum;
			}
			if (!last)
				UNROLL for (int n = 0; n < D / 8; n++) put2(at + n * 8, o[n][half * 2], o[n][half * 2 + 1]);
		}
		if (!last) {
			UNROLL for (int half = 0; half < 2; half++) top[half] = m.top[half], sum[half] = m.sum[half];
			m = Softmax();
			clear(o);
		}
	}
};
template <int D, class Place> DEVICE Kept<D, Place> kept_at(Place place) { return Kept<D, Place>(place); }

// queries reads 16 rows of the block's queries; the tile is free afterwards.
template <int D> DEVICE void queries(unsigned (&q)[D / 16][4], Rows x, long step, int lo, int hi, unsigned warp, unsigned memory) {
	fetch_rows<BLOCK, D, 128>(memory, x, step, lo, hi);
	copies_commit();
	copies_wait<0>();
	__syncthreads();
	UNROLL for (int d = 0; d < D; d += 16) left_fragment<D / 8, false>(q[d / 16], memory, warp * 16, d, THREAD_X % 32);
	__syncthreads();
}

// put_lse writes the log-sum-exp of rows i and i+8 where first <= i < end.
DEVICE void put_lse(float *lse, int H, const Softmax &m, int i, int first, int end) {
	late(i);
	UNROLL for (int half = 0; half < 2; half++, i += 8)
		if (first <= i && i < end)
			lse[(long)i * H] = (m.top[half] + log2_fast(m.sum[half])) * LN2;
}

// each_span attends the spans of a block of a pack's queries, one after the
// other, and writes their rows.
template <int D, class Attend>
DEVICE void each_span(void *o, float *lse, float *parts, Rows q, Masks masks, int T, int H, int wanted, int type, unsigned memory, Attend attend) {
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	// The last rows see the most keys: they begin first.
	int lo = ((T + BLOCK - 1) / BLOCK - 1 - (int)BLOCK_X) * BLOCK, hi = min(T, lo + BLOCK);
	int head = BLOCK_Y, row = lo + (int)warp * 16;
	unsigned fragments[D / 16][4];
	queries<D>(fragments, q + head * D, (long)H * D, lo, hi, warp, memory);
	unsigned long ends = ends_of([&](int i) { return masks.same(i); }, lo, hi, lane);
	for (int from = lo; from < hi;) {
		Mask mask = masks.at(from);
		int to = lo + first_end(ends, from - lo);
		Span s{from, to, mask.prefixEnd - mask.prefixStart, to - mask.segmentStart, -mask.segmentStart};
		s.count();
		Softmax m;
		float sum[D / 8][4];
		clear(sum);
		auto kept = kept_at<D>([&](int half) {
			int i = row + half * 8 + (int)lane / 4;
			late(i);
			return i >= from && i < to ? parts + ((long)i * H + head) * D : nullptr;
		});
		attend(m, sum, fragments, s, mask, row, kept);
		if (o)
			put_head<D>(o, type, head, (long)H * wanted, sum, row, from, to, wanted, lane, m.inverse(0), m.inverse(1));
		if (lse && lane % 4 == 0)
			put_lse(lse + head, H, m, row + (int)lane / 4, from, to);
		from = to;
	}
}
