// What the products on wgmma share (gemm_sm90.cu, gemm_tma.cu): their tiles, and how a
// tile of the result is written.
#pragma once
#include "hopper.cuh"
#include "product.cuh"

#define STEP 64 // terms of the sum in one stage: a line of 128 bytes
#define ROWS 128

// add4 and put4 read and write 4 neighbours at a multiple of 4.
DEVICE void add4(float (&s)[4], const float *y) {
	float4 v = *(const float4 *)y;
	s[0] += v.x, s[1] += v.y, s[2] += v.z, s[3] += v.w;
}
DEVICE void add4(float (&s)[4], const bf16 *y) {
	uint2 v = *(const uint2 *)y;
	s[0] += __uint_as_float(v.x << 16), s[1] += __uint_as_float(v.x & 0xffff0000);
	s[2] += __uint_as_float(v.y << 16), s[3] += __uint_as_float(v.y & 0xffff0000);
}
DEVICE void put4(float *y, const float (&s)[4]) { *(float4 *)y = float4{s[0], s[1], s[2], s[3]}; }
DEVICE void put4(bf16 *y, const float (&s)[4]) { *(uint2 *)y = uint2{bf16_pair(s[0], s[1]), bf16_pair(s[2], s[3])}; }

// write puts a warp's 16 rows. Lanes exchange halves with their neighbours, so
// that each has 4 columns in a row: the even ones of the first 8 columns of 16, the
// odd ones of the others.
template <int W, class T>
DEVICE void write(T *y, const float (&sum)[W][4], const float *bias, int row, int col, int M, int N, int ldy, float alpha,
                  int accumulate) {
	unsigned lane = THREAD_X % 32;
	bool odd = lane % 2;
	int r0 = row + (int)lane / 4, c0 = col + (odd ? 8 : 0) + (int)lane % 4 / 2 * 4;
	T *line[2]; // of both rows, made once
	UNROLL for (int half = 0; half < 2; half++) line[half] = y + ((long)BLOCK_Z * M + r0 + half * 8) * ldy + c0;
	UNROLL for (int j = 0; j < W; j += 2) {
		int c = c0 + j * 8;
		float add[4] = {0, 0, 0, 0};
		if (bias && c < N)
			UNROLL for (int e = 0; e < 4; e++) add[e] = bias[c + e];
		UNROLL for (int half = 0; half < 2; half++) {
			float keep[2], got[2], s[4];
			UNROLL for (int e = 0; e < 2; e++) {
				float first = sum[j][half * 2 + e], second = sum[j + 1][half * 2 + e];
				keep[e] = odd ? second : first;
				got[e] = across(odd ? first : second, 1);
			}
			UNROLL for (int e = 0; e < 4; e++)
				s[e] = __builtin_fmaf((e < 2) == odd ? got[e % 2] : keep[e % 2], alpha, add[e]);
			int r = r0 + half * 8;
			if (r >= M || c >= N)
				continue;
			T *at = line[half] + j * 8;
			if (accumulate)
				add4(s, at);
			put4(at, s);
		}
	}
}
