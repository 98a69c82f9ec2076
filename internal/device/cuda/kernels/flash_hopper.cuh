// What attention on Hopper's matrix instruction shares.
#pragma once
#include "flash.cuh"
#include "hopper.cuh"

// pin keeps what computes a before the next fence, and what reads c behind the
// last wait.
DEVICE void pin(unsigned (&a)[4]) { asm volatile("" : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(a[3])); }
DEVICE void pin(float (&c)[4][4]) { asm volatile("" : SUMS16(c)); }
DEVICE void pin(float (&c)[8][4]) { asm volatile("" : SUMS32(c, 0)); }
DEVICE void pin(float (&c)[16][4]) { asm volatile("" : SUMS64(c)); }

// fetch_lines starts the copies of a tile of rows of one head from row `from`,
// zeros from `end` on: 64 columns of all rows, then the next 64.
template <int D, int ROWS = BLOCK> DEVICE void fetch_lines(unsigned tile, Rows x, long step, int from, int end) {
	int line = (int)THREAD_X / 8, c = (int)THREAD_X % 8;
	unsigned to = tile + tile_at<8>(line, c);
	Rows at = x + (from + line) * step + c * 8;
	UNROLL for (int i = 0; i < ROWS; i += 16)
		UNROLL for (int d = 0; d < D; d += 64) copy16(to + i * 128 + d / 64 * ROWS * 128, at + i * step + d, from + line + i < end);
}

// hide takes from two rows' scores those of the keys that the rows do not see: all
// but the first `visible`. Most tiles are seen whole, and then a warp has nothing to do.
template <int N> DEVICE void hide(float (&s)[N][4], const int (&visible)[2], unsigned lane) {
	if (!vote(min(visible[0], visible[1]) < 8 * N))
		return;
	UNROLL for (int half = 0; half < 2; half++)
		UNROLL for (int n = 0; n < N; n++)
			UNROLL for (int e = 0; e < 2; e++) {
				int j = n * 8 + lane % 4 * 2 + e;
				s[n][half * 2 + e] = j < visible[half] ? s[n][half * 2 + e] : NONE;
			}
}

// hide_queries takes from two rows' scores of keys, `row` and row+8, those of the queries
// from `tile` on that do not see the keys: all outside [begin, end). Of keys [from, to),
// the only ones whose sums are kept, most tiles see all, and then nothing is to be done.
template <int N> DEVICE void hide_queries(float (&s)[N][4], Mask mask, int tile, int end, int from, int to, int row, unsigned lane) {
	bool prefix = (mask.prefixStart <= from) & (to <= mask.prefixEnd), own = (mask.segmentStart <= from) & (to - 1 <= tile);
	if ((tile + 8 * N <= end) & (prefix | own))
		return;
	UNROLL for (int half = 0; half < 2; half++) {
		int j = row + half * 8, begin = mask.segmentStart <= j ? j : end;
		begin = ((mask.prefixStart <= j) & (j < mask.prefixEnd)) ? tile : begin;
		UNROLL for (int n = 0; n < N; n++)
			UNROLL for (int e = 0; e < 2; e++) {
				int i = tile + n * 8 + (int)lane % 4 * 2 + e;
				s[n][half * 2 + e] = ((begin <= i) & (i < end)) ? s[n][half * 2 + e] : NONE;
			}
	}
}
