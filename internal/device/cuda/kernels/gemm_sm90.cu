// The products of gemm.cu by Hopper's own matrix instruction, wgmma: 64 rows by
// up to 256 columns by 16 terms of shared memory, made by four warps beside
// what their threads do. It takes the same arguments, adds 16 terms at a time in
// the same order, and writes the same results.
//
// A block of two such groups of warps makes 128 rows. While one step of 64 terms
// is multiplied, the threads fetch another and start the next.
#include "hopper.cuh"
#include "product.cuh"

#define STEP 64 // terms of the sum in one stage: a line of 128 bytes
#define STAGES 4
#define ROWS 128
#define THREADS 256

// stage starts the copies of ALL rows by STEP terms. A thread copies chunks of
// every 32nd line, which stand alike among the banks. The address of a copy that is
// not there is not read and may lie anywhere.
template <int ALL, bool ACROSS> DEVICE void stage(unsigned tile, Side x, int row, int rows, int k, int terms) {
	int line = (int)THREAD_X / 8, c = (int)THREAD_X % 8;
	int r = row + (ACROSS ? c * 8 : line), t = k + (ACROSS ? line : c * 8);
	unsigned to = tile + tile_at<8>(line, c);
	const unsigned short *from = x.at + (ACROSS ? (long)t * x.ld + r : (long)r * x.ld + t);
	UNROLL for (int i = 0; i < ALL; i += THREADS / 8) {
		int rowsOn = ACROSS ? i / 64 * 64 : i, termsOn = ACROSS ? i % 64 : 0;
		long on = ACROSS ? (long)termsOn * x.ld + rowsOn : (long)rowsOn * x.ld;
		copy16(to + i * 128, from + on, r + rowsOn < rows && t + termsOn < terms);
	}
}

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

template <int COLUMNS, bool TX, bool TW>
DEVICE void product(Side x, Side w, Side u, Side v, void *y, const float *bias, int M, int N, int K, int K2, int ldy,
                    float alpha, int accumulate, int split, int type) {
	constexpr int LEFT = ROWS * STEP * 2, RIGHT = COLUMNS * STEP * 2;
	extern __shared__ __attribute__((aligned(1024))) unsigned char memory[];
	unsigned base = (shared_address(memory) + 1023) & ~1023u;
	int row, col;
	tile_of_block<ROWS, COLUMNS>(row, col, M, N);
	int from = (int)BLOCK_Z * split, to = min(K, from + split);
	int first = to > from ? (to - from + STEP - 1) / STEP : 0, tiles = first + (K2 + STEP - 1) / STEP;

	auto fetch = [&](int t, unsigned at) {
		if (t < first) {
			stage<ROWS, TX>(at, x, row, M, from + t * STEP, to);
			stage<COLUMNS, TW>(at + LEFT, w, col, N, from + t * STEP, to);
		} else if (t < tiles) {
			stage<ROWS, TX>(at, u, row, M, (t - first) * STEP, K2);
			stage<COLUMNS, TW>(at + LEFT, v, col, N, (t - first) * STEP, K2);
		}
		copies_commit();
	};
	UNROLL for (int s = 0; s < STAGES - 2; s++) fetch(s, base + s * (LEFT + RIGHT));

	unsigned warp = THREAD_X / 32;
	float sum[COLUMNS / 8][4];
	UNROLL for (int j = 0; j < COLUMNS / 8; j++)
		UNROLL for (int e = 0; e < 4; e++) sum[j][e] = 0;

	unsigned now = 0, next = STAGES - 2;
	for (int t = 0; t < tiles; t++) {
		copies_wait<STAGES - 3>();
		show();
		__syncthreads();
		// All warps have waited for the products of two steps ago: their stage is free.
		fetch(t + STAGES - 2, base + next * (LEFT + RIGHT));
		unsigned at = base + now * (LEFT + RIGHT);
		u64 a = descriptor<TX>(at + warp / 4 * GROUP), b = descriptor<TW>(at + LEFT);
		begin(sum);
		UNROLL for (int k = 0; k < STEP; k += 16)
			multiply64<TX, TW>(sum, a + k * (TX ? 128 : 2) / 16, b + k * (TW ? 128 : 2) / 16);
		commit();
		wait<1>();
		now = now + 1 == STAGES ? 0 : now + 1;
		next = next + 1 == STAGES ? 0 : next + 1;
	}
	finish(sum);
	row += (int)warp * 16;
	if (type == TYPE_F32)
		write((float *)y, sum, bias, row, col, M, N, ldy, alpha, accumulate);
	else
		write((bf16 *)y, sum, bias, row, col, M, N, ldy, alpha, accumulate);
}

#define PRODUCT(name, COLUMNS, TX, TW)                                                                                 \
	KERNEL __launch_bounds__(THREADS) void name(                                                                       \
	    const unsigned short *x, const unsigned short *w, const unsigned short *u, const unsigned short *v, void *y,   \
	    const float *bias, int ldx, int ldw, int ldu, int ldv, int ldy, int M, int N, int K, int K2, float alpha,      \
	    int accumulate, int split, int type) {                                                                         \
		product<COLUMNS, TX, TW>(Side{x, ldx}, Side{w, ldw}, Side{u, ldu}, Side{v, ldv}, y, bias, M, N, K, K2, ldy,     \
		                         alpha, accumulate, split, type);                                                     \
	}

#define PRODUCTS(kind, TX, TW)                                                                                         \
	PRODUCT(wgmma_##kind##_wide, 256, TX, TW)                                                                          \
	PRODUCT(wgmma_##kind##_square, 128, TX, TW)

PRODUCTS(nt, false, false)
PRODUCTS(nn, false, true)
PRODUCTS(tn, true, true)
