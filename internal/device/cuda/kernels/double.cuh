// Exponential and logarithm in double precision, within some 1e-16 of the result.
#pragma once
#include "align.cuh"

DEVICE double power_of_2(int n) { return double_of((u64)(n + 1023) << 52); }

struct Split { double rest; int n; }; // x = n ln 2 + rest

DEVICE Split split(double x) {
	const double magic = 6755399441055744.0; // 1.5 * 2^52
	double shifted = __builtin_fma(x, 1.4426950408889634074, magic), n = shifted - magic;
	double rest = __builtin_fma(-n, 0.69314718055994528623, x);
	return {__builtin_fma(-n, 2.3190468138462995584e-17, rest), (int)(unsigned)bits_of(shifted)};
}

// series is (e^r - 1)/r for |r| <= ln(2)/2, by Taylor.
DEVICE double series(double r) {
	double p = 1 / 6227020800.0; // 1/13!, then the others
	p = __builtin_fma(p, r, 1 / 479001600.0);
	p = __builtin_fma(p, r, 1 / 39916800.0);
	p = __builtin_fma(p, r, 1 / 3628800.0);
	p = __builtin_fma(p, r, 1 / 362880.0);
	p = __builtin_fma(p, r, 1 / 40320.0);
	p = __builtin_fma(p, r, 1 / 5040.0);
	p = __builtin_fma(p, r, 1 / 720.0);
	p = __builtin_fma(p, r, 1 / 120.0);
	p = __builtin_fma(p, r, 1 / 24.0);
	p = __builtin_fma(p, r, 1 / 6.0);
	p = __builtin_fma(p, r, 1 / 2.0);
	return __builtin_fma(p, r, 1.0);
}

DEVICE double exp64(double x) {
	double held = x < -746 ? -746 : x > 710 ? 710 : x; // where the result is 0 or +Inf
	if (x != x)
		return x;
	Split s = split(held);
	int half = s.n >> 1; // two factors: 2^n alone need not be a double
	return __builtin_fma(series(s.rest), s.rest, 1.0) * power_of_2(half) * power_of_2(s.n - half);
}

// log64: x = m 2^e with m around 1, log m = 2 atanh((m-1)/(m+1)) by its series.
DEVICE double log64(double x) {
	if (!(x > 0))
		return x == 0 ? -__builtin_inf() : __builtin_nan("");
	if (x == __builtin_inf())
		return x;
	int e = 0;
	if (x < 2.2250738585072014e-308) // subnormal
		x *= 18014398509481984.0, e = -54;
	u64 b = bits_of(x);
	e += (int)(b >> 52) - 1023;
	double m = double_of((b & 0xfffffffffffff) | 0x3ff0000000000000);
	if (m > 1.4142135623730951)
		m *= 0.5, e++;
	double s = (m - 1) / (m + 1), z = s * s, p = 1 / 23.0;
	p = __builtin_fma(p, z, 1 / 21.0);
	p = __builtin_fma(p, z, 1 / 19.0);
	p = __builtin_fma(p, z, 1 / 17.0);
	p = __builtin_fma(p, z, 1 / 15.0);
	p = __builtin_fma(p, z, 1 / 13.0);
	p = __builtin_fma(p, z, 1 / 11.0);
	p = __builtin_fma(p, z, 1 / 9.0);
	p = __builtin_fma(p, z, 1 / 7.0);
	p = __builtin_fma(p, z, 1 / 5.0);
	p = __builtin_fma(p, z, 1 / 3.0);
	double of_m = __builtin_fma(p * z, 2 * s, 2 * s);
	return __builtin_fma(e, 0.69314718055994528623, __builtin_fma(e, 2.3190468138462995584e-17, of_m));
}
