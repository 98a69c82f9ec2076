// What stands in for CUDA's headers: clang knows the attributes and the
// registers, and PTX gives the rest. Letters are those of internal/graph/doc.go.
#pragma once

#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))

// KERNEL begins an entry, DEVICE a function, which is never left as a call.
#define KERNEL extern "C" __attribute__((global))
#define DEVICE __attribute__((device)) inline __attribute__((always_inline))
// UNROLL stands before each loop over an array that must stay in registers.
#define UNROLL _Pragma("unroll")

#define THREAD_X __nvvm_read_ptx_sreg_tid_x()
#define BLOCK_X __nvvm_read_ptx_sreg_ctaid_x()
#define BLOCK_Y __nvvm_read_ptx_sreg_ctaid_y()
#define BLOCK_Z __nvvm_read_ptx_sreg_ctaid_z()
#define BLOCK_SIZE __nvvm_read_ptx_sreg_ntid_x()

typedef unsigned long long u64;

struct __attribute__((aligned(8))) float2 { float x, y; };
struct __attribute__((aligned(16))) float4 { float x, y, z, w; };
struct __attribute__((aligned(8))) uint2 { unsigned x, y; };
struct __attribute__((aligned(16))) uint4 { unsigned x, y, z, w; };

DEVICE int min(int a, int b) { return a < b ? a : b; }
DEVICE int max(int a, int b) { return a > b ? a : b; }

// Types of elements: the numbers of device.Type.
enum { TYPE_F32 = 1, TYPE_BF16 = 4 };

// shared_address is a place in shared memory as instructions take it.
DEVICE unsigned shared_address(const void *p) {
	return (unsigned)(unsigned long)(__attribute__((address_space(3))) const void *)p;
}

// Bits.

DEVICE unsigned bits_of(float x) { return __builtin_bit_cast(unsigned, x); }
DEVICE float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }
DEVICE u64 bits_of(double x) { return __builtin_bit_cast(u64, x); }
DEVICE double double_of(u64 x) { return __builtin_bit_cast(double, x); }

DEVICE float from_bf16(unsigned short x) { return __uint_as_float((unsigned)x << 16); }
DEVICE float from_f16(unsigned short x) {
	float y;
	asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
	return y;
}

// bf16_pair rounds two numbers to the nearest bf16, the first in the low half.
DEVICE unsigned bf16_pair(float low, float high) {
	unsigned r;
	asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
	return r;
}

// Activations are float32 or bf16; arithmetic is float32.

struct bf16 { unsigned short bits; };

DEVICE float widen(float x) { return x; }
DEVICE float widen(bf16 x) { return from_bf16(x.bits); }
DEVICE void narrow(float &y, float x) { y = x; }
DEVICE void narrow(bf16 &y, float x) { y.bits = (unsigned short)bf16_pair(x, 0); }

// put2 writes two neighbours at a multiple of two.
DEVICE void put2(float *y, float a, float b) { *(float2 *)y = float2{a, b}; }
DEVICE void put2(bf16 *y, float a, float b) { *(unsigned *)y = bf16_pair(a, b); }

// WIDE elements are what one access of 16 bytes moves.
template <class T> constexpr int WIDE = 16 / sizeof(T);

DEVICE void unpack(float *w, const float *at) {
	float4 v = *(const float4 *)at;
	w[0] = v.x, w[1] = v.y, w[2] = v.z, w[3] = v.w;
}
DEVICE void unpack(float *w, const bf16 *at) {
	uint4 v = *(const uint4 *)at;
	unsigned words[4] = {v.x, v.y, v.z, v.w};
	UNROLL for (int i = 0; i < 4; i++) w[2 * i] = __uint_as_float(words[i] << 16), w[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000);
}
DEVICE void pack(float *at, const float *w) { *(float4 *)at = float4{w[0], w[1], w[2], w[3]}; }
DEVICE void pack(bf16 *at, const float *w) {
	*(uint4 *)at = uint4{bf16_pair(w[0], w[1]), bf16_pair(w[2], w[3]), bf16_pair(w[4], w[5]), bf16_pair(w[6], w[7])};
}

// get reads N neighbours, a multiple of WIDE, from element i; those from `end`
// on are 0.
template <int N, class T> DEVICE void get(float (&w)[N], const T *x, long i, long end) {
	if (i + N <= end && (unsigned long)(x + i) % 16 == 0) {
		UNROLL for (int j = 0; j < N; j += WIDE<T>) unpack(w + j, x + i + j);
	} else {
		UNROLL for (int j = 0; j < N; j++) w[j] = i + j < end ? widen(x[i + j]) : 0;
	}
}

// put writes N neighbours below `end`.
template <int N, class T> DEVICE void put(T *y, long i, long end, const float (&w)[N]) {
	if (i + N <= end && (unsigned long)(y + i) % 16 == 0) {
		UNROLL for (int j = 0; j < N; j += WIDE<T>) pack(y + i + j, w + j);
	} else {
		UNROLL for (int j = 0; j < N; j++)
			if (i + j < end)
				narrow(y[i + j], w[j]);
	}
}

// Warps: all 32 lanes must arrive.

DEVICE float from_lane(float v, int lane) {
	float r;
	asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, -1;" : "=f"(r) : "f"(v), "r"(lane));
	return r;
}
DEVICE unsigned from_lane(unsigned v, int lane) {
	unsigned r;
	asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, -1;" : "=r"(r) : "r"(v), "r"(lane));
	return r;
}
DEVICE double from_lane(double v, int lane) {
	unsigned low = from_lane((unsigned)bits_of(v), lane), high = from_lane((unsigned)(bits_of(v) >> 32), lane);
	return double_of((u64)high << 32 | low);
}
DEVICE u64 from_lane(u64 v, int lane) {
	unsigned low = from_lane((unsigned)v, lane), high = from_lane((unsigned)(v >> 32), lane);
	return (u64)high << 32 | low;
}
DEVICE float across(float v, int mask) {
	float r;
	asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(r) : "f"(v), "r"(mask));
	return r;
}
DEVICE unsigned across(unsigned v, int mask) {
	unsigned r;
	asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=r"(r) : "r"(v), "r"(mask));
	return r;
}
DEVICE double across(double v, int mask) {
	unsigned low = across((unsigned)bits_of(v), mask), high = across((unsigned)(bits_of(v) >> 32), mask);
	return double_of((u64)high << 32 | low);
}

DEVICE u64 across(u64 v, int mask) {
	unsigned low = across((unsigned)v, mask), high = across((unsigned)(v >> 32), mask);
	return (u64)high << 32 | low;
}

// vote has the bit of each lane where p is true.
DEVICE unsigned vote(bool p) {
	unsigned r;
	asm volatile("{.reg .pred p; setp.ne.u32 p, %1, 0; vote.sync.ballot.b32 %0, p, -1;}" : "=r"(r) : "r"((unsigned)p));
	return r;
}

// warp_sum adds the lanes, in one order; every lane has the sum.
template <class E> DEVICE E warp_sum(E x) {
	UNROLL for (int m = 16; m > 0; m /= 2) x += across(x, m);
	return x;
}

// block_sum adds the threads of a block of whole warps, in one order; every
// thread has the sum. parts is shared memory of 32 elements, free for another
// use after the next __syncthreads.
template <class E> DEVICE E block_sum(E x, E *parts) {
	x = warp_sum(x);
	if (THREAD_X % 32 == 0)
		parts[THREAD_X / 32] = x;
	__syncthreads();
	E sum = parts[0];
	for (int w = 1; w < BLOCK_SIZE / 32; w++) sum += parts[w];
	return sum;
}

// Functions.

// __fdiv is a/b, correctly rounded.
DEVICE float __fdiv(float a, float b) {
	float r;
	asm("div.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
	return r;
}

DEVICE float larger(float a, float b) { return __builtin_fmaxf(a, b); }

// exp2_fast is 2^x within 2 ulp (PTX ISA, ex2.approx).
DEVICE float exp2_fast(float x) {
	float r;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
	return r;
}

DEVICE float log2_fast(float x) {
	float r;
	asm("lg2.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
	return r;
}

// exp_of is e^x within some 3 ulp, 0 or +Inf where that is no normal float. The
// rounding of x*log2(e), which grows with x, is taken out before exp2_fast.
DEVICE float exp_of(float x) {
	const float magic = 12582912; // 1.5 * 2^23: brings the nearest integer into the low bits
	float held = __builtin_fminf(__builtin_fmaxf(x, -104), 89);
	float n = __builtin_fmaf(held, 1.44269502f, magic) - magic;
	float f = __builtin_fmaf(held, 1.92596299e-8f, __builtin_fmaf(held, 1.44269502f, -n)); // log2(e) in two parts
	// ex2 of an integer is exact; beyond the normal floats it takes two steps.
	float power = exp2_fast(f) * exp2_fast(n < -126 ? n + 64 : n > 127 ? n - 64 : n);
	power *= n < -126 ? 5.421010862427522e-20f : n > 127 ? 18446744073709551616.0f : 1; // 2^-64, 2^64
	return x != x ? x : power;
}

// sigmoid is 1/(1+e^-x).
DEVICE float sigmoid(float x) { return __fdiv(1, 1 + exp_of(-x)); }
