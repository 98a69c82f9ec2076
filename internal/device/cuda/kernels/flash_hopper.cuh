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
