// Frozen weights whose elements share scales, 8 elements at a time: the layouts
// of device.Type (NF4, Int8 and the blocks of GGUF, byte for byte). Values are
// rounded to float32 where the formats' own readers round.
#pragma once
#include "tensor.cuh"

// Format is how a frozen weight lies in memory.
enum Format { BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, NF4, INT8 };

DEVICE float plus(float a, float b) {
	float r;
	asm("add.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
	return r;
}

// bytes2 reads 4 bytes at an even address, bytes4 at a multiple of 4.
DEVICE unsigned bytes2(const unsigned char *p) {
	const unsigned short *h = (const unsigned short *)p;
	return h[0] | (unsigned)h[1] << 16;
}
DEVICE unsigned bytes4(const unsigned char *p) { return *(const unsigned *)p; }
DEVICE int byte_of(unsigned word, int i) { return word >> (8 * i) & 255; }
DEVICE int signed_byte(unsigned word, int i) { return (int)(word << (24 - 8 * i)) >> 24; }

__constant__ const float nf4_values[16] = {
	-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
	-0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
	0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
	0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};

// group_bytes are the bytes that hold scale and minimum j of eight, 6 bits each
// (Q4_K, Q5_K), and group_scale unpacks them.
DEVICE unsigned group_bytes(const unsigned char *packed, int j) {
	return packed[j] | (unsigned)packed[j + 4] << 8 | (unsigned)packed[j < 4 ? j : j - 4] << 16;
}
DEVICE void group_scale(unsigned bytes, int j, int &scale, int &minimum) {
	if (j < 4) {
		scale = byte_of(bytes, 0) & 63, minimum = byte_of(bytes, 1) & 63;
		return;
	}
	scale = (byte_of(bytes, 1) & 15) | byte_of(bytes, 2) >> 6 << 4;
	minimum = byte_of(bytes, 1) >> 4 | byte_of(bytes, 0) >> 6 << 4;
}

// Table is what all lanes of a warp keep for decode8: of NF4, lane i has value
// i mod 16. A shuffle is quicker than constant memory, which serves one address
// at a time.
template <Format F> DEVICE float table_of(unsigned lane) { return F == NF4 ? nf4_values[lane % 16] : 0; }

// WORDS are what fetch8 reads of 8 elements, scales and all.
template <Format F>
constexpr int WORDS = F == BF16 || F == Q4_0 || F == Q4_1 || F == Q5_0 || F == Q5_1 ? 4 : F == NF4 ? 2 : F == Q6_K ? 5 : F == Q4_K ? 4 : F == Q5_K ? 6 : 3;

// fetch8 reads elements k to k+7 of a row as they are stored, k a multiple of 8
// below `cols`: apart from unpack8, so that many reads can be under way.
template <Format F> DEVICE void fetch8(unsigned (&raw)[WORDS<F>], const unsigned char *row, int k, int cols) {
	if constexpr (F == BF16) {
		uint4 v = *(const uint4 *)(row + 2 * k);
		raw[0] = v.x, raw[1] = v.y, raw[2] = v.z, raw[3] = v.w;
	} else if constexpr (F == INT8) {
		UNROLL for (int i = 0; i < 3; i++) { // rows begin anywhere
			raw[i] = 0;
			UNROLL for (int j = 0; j < 4; j++) raw[i] |= (unsigned)row[i == 0 ? j : min(k + 4 * i + j, cols + 3)] << (8 * j);
		}
	} else if constexpr (F == NF4) {
		const unsigned char *b = row + k / 64 * 36;
		raw[0] = bytes4(b), raw[1] = bytes4(b + 4 + k % 64 / 2);
	} else if constexpr (F == Q8_0) {
		const unsigned char *b = row + k / 32 * 34;
		raw[0] = *(const unsigned short *)b, raw[1] = bytes2(b + 2 + k % 32), raw[2] = bytes2(b + 6 + k % 32);
	} else if constexpr (F == Q4_0 || F == Q4_1 || F == Q5_0 || F == Q5_1) {
		constexpr bool minimum = F == Q4_1 || F == Q5_1, five = F == Q5_0 || F == Q5_1;
		constexpr int size = 18 + (minimum ? 2 : 0) + (five ? 4 : 0), at = size - 16;
		const unsigned char *b = row + k / 32 * size;
		int in = k % 32;
		raw[0] = minimum ? bytes2(b) : *(const unsigned short *)b;
		raw[1] = bytes2(b + at + in % 16), raw[2] = bytes2(b + at + in % 16 + 4), raw[3] = five ? bytes2(b + at - 4) : 0;
	} else if constexpr (F == Q4_K || F == Q5_K) {
		constexpr int size = F == Q4_K ? 144 : 176;
		const unsigned char *b = row + k / 256 * size;
		int in = k % 256, group = in / 32, at = in % 32;
		const unsigned char *q4 = b + size - 128 + group / 2 * 32 + at;
		raw[0] = bytes4(b), raw[1] = group_bytes(b + 4, group), raw[2] = bytes4(q4), raw[3] = bytes4(q4 + 4);
		if constexpr (F == Q5_K)
			raw[4] = bytes4(b + 16 + at), raw[5] = bytes4(b + 20 + at);
	} else if constexpr (F == Q6_K) {
		const unsigned char *b = row + k / 256 * 210;
		int half = k % 256 / 128, in = k % 128, run = in / 32, at = in % 32;
		const unsigned char *ql = b + 64 * half + run % 2 * 32 + at, *qh = b + 128 + 32 * half + at;
		raw[0] = *(const unsigned short *)(b + 208) | (unsigned)b[192 + 8 * half + 2 * run + at / 16] << 16;
		raw[1] = bytes2(ql), raw[2] = bytes2(ql + 4), raw[3] = bytes2(qh), raw[4] = bytes2(qh + 4);
	}
}

// unpack8 is what fetch8 has read; elements past `cols` are 0. The lanes of a warp
// call it together.
template <Format F> DEVICE void unpack8(float (&w)[8], const unsigned (&raw)[WORDS<F>], int k, int cols, float table) {
	if constexpr (F == INT8) {
		float step = __fdiv(__uint_as_float(raw[0]), 127);
		UNROLL for (int i = 0; i < 8; i++) w[i] = k + i < cols ? no_fma((float)signed_byte(raw[1 + i / 4], i % 4), step) : 0;
	} else if constexpr (F == NF4) {
		float most = __uint_as_float(raw[0]);
		UNROLL for (int i = 0; i < 4; i++) {
			w[2 * i] = from_lane(table, byte_of(raw[1], i) >> 4) * most;
			w[2 * i + 1] = from_lane(table, byte_of(raw[1], i) & 15) * most;
		}
	} else if constexpr (F == Q8_0) {
		float d = from_f16((unsigned short)raw[0]);
		UNROLL for (int i = 0; i < 8; i++) w[i] = d * (float)signed_byte(raw[1 + i / 4], i % 4);
	} else if constexpr (F == Q4_0 || F == Q4_1 || F == Q5_0 || F == Q5_1) {
		constexpr bool minimum = F == Q4_1 || F == Q5_1, five = F == Q5_0 || F == Q5_1;
		float d = from_f16((unsigned short)raw[0]), m = minimum ? from_f16((unsigned short)(raw[0] >> 16)) : 0;
		int in = k % 32, shift = in >= 16 ? 4 : 0;
		unsigned fifth = raw[3] >> in;
		UNROLL for (int i = 0; i < 8; i++) {
			int q = (byte_of(raw[1 + i / 4], i % 4) >> shift & 15) | (int)(fifth >> i & 1) << 4;
			w[i] = minimum ? plus(no_fma(d, (float)q), m) : d * (float)(q - (five ? 16 : 8));
		}
	} else if constexpr (F == Q4_K || F == Q5_K) {
		int group = k % 256 / 32, scale, minimum;
		group_scale(raw[1], group, scale, minimum);
		float d = no_fma(from_f16((unsigned short)raw[0]), (float)scale), m = no_fma(from_f16((unsigned short)(raw[0] >> 16)), (float)minimum);
		UNROLL for (int i = 0; i < 8; i++) {
			int q = byte_of(raw[2 + i / 4], i % 4) >> (group % 2 * 4) & 15;
			if constexpr (F == Q5_K)
				q |= (byte_of(raw[4 + i / 4] >> group, i % 4) & 1) << 4;
			w[i] = plus(no_fma(d, (float)q), -m);
		}
	} else if constexpr (F == Q6_K) {
		int run = k % 128 / 32;
		float d = no_fma(from_f16((unsigned short)raw[0]), (float)signed_byte(raw[0], 2));
		UNROLL for (int i = 0; i < 8; i++) {
			int q = (byte_of(raw[1 + i / 4], i % 4) >> (run >= 2 ? 4 : 0) & 15) | (byte_of(raw[3 + i / 4], i % 4) >> (2 * run) & 3) << 4;
			w[i] = d * (float)(q - 32);
		}
	}
}

// decode8 is elements k to k+7 of a row, k a multiple of 8 below `cols`; those
// past the end are 0. The lanes of a warp call it together.
template <Format F> DEVICE void decode8(float (&w)[8], const unsigned char *row, int k, int cols, float table) {
	unsigned raw[WORDS<F>];
	fetch8<F>(raw, row, k, cols);
	unpack8<F>(w, raw, k, cols, table);
}
