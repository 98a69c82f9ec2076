// What the kernels of products share (gemm.cu, gemm_sm90.cu).
#pragma once
#include "tensor.cuh"

// Side is a matrix of bf16 in rows of ld elements.
struct Side {
	const unsigned short *at;
	int ld;
};

// tile_of_block is where a block's tile of the result begins. Blocks of 8 tiles
// in M share their tiles of w in the cache.
template <int BM, int BN> DEVICE void tile_of_block(int &row, int &col, int M, int N) {
	int tilesM = (M + BM - 1) / BM, tilesN = (N + BN - 1) / BN;
	int group = (int)BLOCK_X / (8 * tilesN), inside = (int)BLOCK_X % (8 * tilesN);
	int high = min(8, tilesM - group * 8);
	row = (group * 8 + inside % high) * BM, col = inside / high * BN;
}
