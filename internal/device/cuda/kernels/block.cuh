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
DEVICE float scale_at(const unsigned char *p) { return from_f16(*(const unsigned short *)p); }
DEVICE int byte_of(unsigned word, int i) { return word >> (8 * i) & 255; }
DEVICE int signed_byte(unsigned word, int i) { return (int)(word << (24 - 8 * i)) >> 24; }

__constant__ const float nf4_values[16] = {
	-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
	-0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
	0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
	0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};

// group_scale unpacks scale and minimum j of eight, 6 bits each (Q4_K, Q5_K).
DEVICE void group_scale(const unsigned char *packed, int j, int &scale, int &minimum) {
	if (j < 4) {
		scale = packed[j] & 63, minimum = packed[j + 4] & 63;
		return;
	}
	scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
	minimum = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
}

// Table is what all lanes of a warp keep for decode8: of NF4, lane i has value
// i mod 16. A shuffle is quicker than constant memory, which serves one address
// at a time.
template <Format F> DEVICE float table_of(unsigned lane) { return F == NF4 ? nf4_values[lane % 16] : 0; }

// decode8 is elements k to k+7 of a row, k a multiple of 8 below `cols`; those
// past the end are 0. The lanes of a warp call it together.
template <Format F> DEVICE void decode8(float (&w)[8], const unsigned char *row, int k, int cols, float table) {
	if (F == INT8) {
		unsigned most = row[0] | (unsigned)row[1] << 8 | (unsigned)row[2] << 16 | (unsigned)row[3] << 24; // rows begin anywhere
		float step = __fdiv(__uint_as_float(most), 127);
		UNROLL for (int i = 0; i < 8; i++) w[i] = k + i < cols ? no_fma((float)((const signed char *)row)[4 + k + i], step) : 0;
	} else if (F == NF4) {
		const unsigned char *b = row + k / 64 * 36;
		float most = *(const float *)b;
		unsigned q = bytes4(b + 4 + k % 64 / 2);
		UNROLL for (int i = 0; i < 4; i++) {
			w[2 * i] = from_lane(table, byte_of(q, i) >> 4) * most;
			w[2 * i + 1] = from_lane(table, byte_of(q, i) & 15) * most;
		}
	} else if (F == Q8_0) {
		const unsigned char *b = row + k / 32 * 34;
		float d = scale_at(b);
		unsigned low = bytes2(b + 2 + k % 32), high = bytes2(b + 6 + k % 32);
		UNROLL for (int i = 0; i < 4; i++) w[i] = d * (float)signed_byte(low, i), w[i + 4] = d * (float)signed_byte(high, i);
	} else if (F == Q4_0 || F == Q4_1 || F == Q5_0 || F == Q5_1) {
		constexpr bool minimum = F == Q4_1 || F == Q5_1, five = F == Q5_0 || F == Q5_1;
		constexpr int size = 18 + (minimum ? 2 : 0) + (five ? 4 : 0), at = size - 16;
		const unsigned char *b = row + k / 32 * size;
		float d = scale_at(b), m = minimum ? scale_at(b + 2) : 0;
		int in = k % 32, shift = in >= 16 ? 4 : 0;
		unsigned low = bytes2(b + at + in % 16), high = bytes2(b + at + in % 16 + 4);
		unsigned fifth = five ? bytes2(b + at - 4) >> in : 0;
		UNROLL for (int i = 0; i < 8; i++) {
			int q = (byte_of(i < 4 ? low : high, i % 4) >> shift & 15) | (int)(fifth >> i & 1) << 4;
			w[i] = minimum ? plus(no_fma(d, (float)q), m) : d * (float)(q - (five ? 16 : 8));
		}
	} else if (F == Q4_K || F == Q5_K) {
		constexpr int size = F == Q4_K ? 144 : 176;
		const unsigned char *b = row + k / 256 * size;
		int in = k % 256, group = in / 32, at = in % 32, scale, minimum;
		group_scale(b + 4, group, scale, minimum);
		float d = no_fma(scale_at(b), (float)scale), m = no_fma(scale_at(b + 2), (float)minimum);
		const unsigned char *q4 = b + size - 128 + group / 2 * 32 + at;
		unsigned low = bytes4(q4), high = bytes4(q4 + 4), shift = group % 2 * 4;
		unsigned low5 = 0, high5 = 0;
		if (F == Q5_K)
			low5 = bytes4(b + 16 + at) >> group, high5 = bytes4(b + 20 + at) >> group;
		UNROLL for (int i = 0; i < 8; i++) {
			int q = byte_of(i < 4 ? low : high, i % 4) >> shift & 15;
			if (F == Q5_K)
				q |= (byte_of(i < 4 ? low5 : high5, i % 4) & 1) << 4;
			w[i] = plus(no_fma(d, (float)q), -m);
		}
	} else if (F == Q6_K) {
		const unsigned char *b = row + k / 256 * 210;
		int half = k % 256 / 128, in = k % 128, run = in / 32, at = in % 32;
		float d = no_fma(scale_at(b + 208), (float)((const signed char *)b)[192 + 8 * half + 2 * run + at / 16]);
		const unsigned char *ql = b + 64 * half + run % 2 * 32 + at, *qh = b + 128 + 32 * half + at;
		unsigned low[2] = {bytes2(ql), bytes2(ql + 4)}, high[2] = {bytes2(qh), bytes2(qh + 4)};
		UNROLL for (int i = 0; i < 8; i++) {
			int q = (byte_of(low[i / 4], i % 4) >> (run >= 2 ? 4 : 0) & 15) | (byte_of(high[i / 4], i % 4) >> (2 * run) & 3) << 4;
			w[i] = d * (float)(q - 32);
		}
	}
}
