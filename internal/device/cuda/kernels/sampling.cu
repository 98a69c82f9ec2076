// Draws of tokens from rows of logits, by the inverse of cumulative weights as
// internal/rollout does it: in the order of ids, or, where something is cut off,
// from the largest logit down, lower ids first. One block makes a row.
//
// A weight e^((z-top)/temperature) is kept as a whole number of units of 2^-44:
// such sums are exact in any order, and 2^17 weights fit 64 bits.
#include "double.cuh"

#define UNITS 17592186044416.0 // 2^44
#define WARPS 24               // of a block, at most: a thread has 80 registers then
#define DIGITS 16              // of a step of find

struct Shared {
	u64 parts[WARPS][DIGITS];
	double sums[WARPS];
	float tops[WARPS];
	int ids[WARPS], found;
};

// Row is what the draws of a block read. Weights below `least` are cut off.
struct Row {
	const float *z;
	const u64 *weights;
	int n;
	u64 least;
	double top, temperature;
	DEVICE u64 weight(float logit) const { return (u64)(exp64((logit - top) / temperature) * UNITS); }
};

// key is in the order of the logits.
DEVICE unsigned key(float z) {
	unsigned b = bits_of(z);
	return b >> 31 ? ~b : b | 0x80000000;
}
DEVICE float logit_of(unsigned key) { return __uint_as_float(key >> 31 ? key & 0x7fffffff : ~key); }

// Place is an element in the order of falling logits: the one that `rest` falls
// on among those with the key, lower ids first.
struct Place {
	unsigned key;
	u64 rest;
};

// add_where adds where two digits are the same, without the choice between the
// amount and 0 that the compiler makes.
DEVICE void add_where(u64 &sum, unsigned a, unsigned b, u64 amount) {
	asm("{.reg .pred p; setp.eq.u32 p, %1, %2; @p add.u64 %0, %0, %3;}" : "+l"(sum) : "r"(a), "r"(b), "l"(amount));
}

// find is the first element whose cumulative weight, or number, exceeds t, four
// bits of the key at a time. All are more than t.
template <bool COUNT> DEVICE Place find(const Row &r, u64 t, Shared &s) {
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32, prefix = 0;
	for (int shift = 28; shift >= 0; shift -= 4) {
		u64 amounts[DIGITS]; // that of digit 0 is the rest
		UNROLL for (int d = 1; d < DIGITS; d++) amounts[d] = 0;
		for (int i = THREAD_X; i < r.n; i += BLOCK_SIZE) {
			unsigned k = key(r.z[i]), digit = k >> shift & 15;
			if (k >> shift >> 4 != prefix)
				continue;
			u64 weight = r.weights[i], amount = weight < r.least ? 0 : COUNT ? 1 : weight;
			UNROLL for (int d = 1; d < DIGITS; d++) add_where(amounts[d], digit, d, amount);
		}
		UNROLL for (int d = 1; d < DIGITS; d++) {
			u64 sum = warp_sum(amounts[d]);
			if (lane == 0)
				s.parts[warp][d] = sum;
		}
		__syncthreads();
		u64 own = 0;
		for (int w = 0; w < BLOCK_SIZE / 32; w++) own += s.parts[w][lane % (DIGITS - 1) + 1];
		unsigned digit = 0;
		bool found = false;
		UNROLL for (int d = DIGITS - 1; d > 0; d--) {
			u64 amount = from_lane(own, d - 1);
			bool here = !found & (t < amount);
			digit = here ? d : digit;
			found |= here;
			t -= found ? 0 : amount;
		}
		prefix = prefix << 4 | digit;
		__syncthreads(); // before the parts are used again
	}
	return Place{prefix, t};
}

// locate is the first id at which the cumulative amount exceeds t: a thread adds
// neighbours.
template <class Amount> DEVICE int locate(const Row &r, Amount amount, u64 t, Shared &s) {
	unsigned lane = THREAD_X % 32, warp = THREAD_X / 32;
	int each = (r.n + BLOCK_SIZE - 1) / BLOCK_SIZE, from = min(r.n, (int)THREAD_X * each), to = min(r.n, from + each);
	u64 own = 0, before = 0;
	for (int i = from; i < to; i++) own += amount(i);
	u64 sum = warp_sum(own);
	if (lane == 0)
		s.parts[warp][0] = sum;
	for (unsigned l = 0; l < 31; l++) {
		u64 other = from_lane(own, l);
		before += l < lane ? other : 0;
	}
	__syncthreads();
	for (unsigned w = 0; w < warp; w++) before += s.parts[w][0];
	if (before <= t && t < before + own)
		for (int i = from; i < to; i++) {
			u64 a = amount(i);
			if (t - before < a) {
				s.found = i;
				break;
			}
			before += a;
		}
	__syncthreads();
	return s.found;
}

template <class Amount> DEVICE u64 total(const Row &r, Amount amount, Shared &s) {
	unsigned warp = THREAD_X / 32;
	u64 own = 0;
	for (int i = THREAD_X; i < r.n; i += BLOCK_SIZE) own += amount(i);
	own = warp_sum(own);
	if (THREAD_X % 32 == 0)
		s.parts[warp][0] = own;
	__syncthreads();
	u64 sum = 0;
	for (int w = 0; w < BLOCK_SIZE / 32; w++) sum += s.parts[w][0];
	__syncthreads();
	return sum;
}

// largest is the largest logit and its lowest id, as rollout finds them: NaN is
// larger than nothing.
DEVICE int largest(Row &r, Shared &s) {
	unsigned warp = THREAD_X / 32;
	float top = -__builtin_inff();
	int id = 0x7fffffff;
	for (int i = THREAD_X; i < r.n; i += BLOCK_SIZE)
		if (r.z[i] > top)
			top = r.z[i], id = i;
	UNROLL for (int m = 16; m; m /= 2) {
		float other = across(top, m);
		int its = across((unsigned)id, m);
		if (other > top || (other == top && its < id))
			top = other, id = its;
	}
	if (THREAD_X % 32 == 0)
		s.tops[warp] = top, s.ids[warp] = id;
	__syncthreads();
	top = s.tops[0], id = s.ids[0];
	for (int w = 1; w < BLOCK_SIZE / 32; w++)
		if (s.tops[w] > top || (s.tops[w] == top && s.ids[w] < id))
			top = s.tops[w], id = s.ids[w];
	id = id == 0x7fffffff ? 0 : id;
	r.top = r.z[id];
	return id;
}

// after says whether a is behind b in the order of falling logits.
DEVICE bool after(const Row &r, Place a, Place b) {
	u64 weight = r.weight(logit_of(a.key));
	return a.key != b.key ? a.key < b.key : weight > 0 && a.rest / weight > b.rest / weight;
}

// pick draws from what topK, topP and least leave; sum is that of all weights.
DEVICE int pick(const Row &r, int topK, double topP, u64 sum, double uniform, Shared &s) {
	Place last{0, 0}; // the last one that is left
	bool cut = false;
	u64 left = total(r, [&](int i) { return r.weights[i] < r.least ? 0 : r.weights[i]; }, s);
	if (topK > 0 && (u64)topK < total(r, [&](int i) -> u64 { return r.weights[i] >= r.least; }, s)) {
		last = find<true>(r, topK - 1, s);
		last.rest *= r.weight(logit_of(last.key)); // in units of weight, as the others
		cut = true;
	}
	u64 reach = (u64)(topP * (double)sum);
	if ((double)reach < topP * (double)sum)
		reach++;
	if (topP < 1 && reach <= left) {
		Place p = find<false>(r, reach > 0 ? reach - 1 : 0, s);
		if (!cut || after(r, last, p))
			last = p;
		cut = true;
	}
	if (cut) {
		u64 weight = r.weight(logit_of(last.key));
		left = total(r, [&](int i) { return key(r.z[i]) > last.key && r.weights[i] >= r.least ? r.weights[i] : 0; }, s);
		left += (last.rest / weight + 1) * weight;
	}
	u64 t = (u64)(uniform * (double)left);
	Place drawn = find<false>(r, t < left ? t : left - 1, s);
	u64 nth = drawn.rest / r.weight(logit_of(drawn.key));
	return locate(r, [&](int i) -> u64 { return key(r.z[i]) == drawn.key; }, nth, s);
}

// sample draws ids[row] from logits of n columns by uniform[row] in [0, 1), and
// tells its log-probability under the softmax of logits/temperature before
// anything is cut off. Temperature 0 takes the largest, and so does a row that
// holds NaN, whose log-probability is NaN. weights is room for a number for each
// logit.
KERNEL __launch_bounds__(768) void sample(int *ids, double *logProbs, u64 *weights, const float *z, const double *uniform, int n,
                                          double temperature, int topK, double topP, double minP) {
	__shared__ Shared s;
	long at = (long)BLOCK_X * n;
	Row r{z + at, weights + at, n, 1, 0, temperature == 0 ? 1 : temperature};
	int best = largest(r, s), id = best;
	double mass = 0;
	for (int i = THREAD_X; i < n; i += BLOCK_SIZE) {
		double w = exp64((r.z[i] - r.top) / r.temperature);
		mass += w;
		weights[at + i] = (u64)(w * UNITS);
	}
	mass = block_sum(mass, s.sums);
	__syncthreads();
	if (temperature != 0 && mass == mass) {
		auto weight = [&](int i) { return r.weights[i]; };
		u64 sum = total(r, weight, s);
		if (topK == 0 && topP == 1 && minP == 0) {
			u64 t = (u64)(uniform[BLOCK_X] * (double)sum);
			id = locate(r, weight, t < sum ? t : sum - 1, s);
		} else {
			double least = minP * UNITS;
			r.least = least > 1 ? (u64)least : 1;
			id = pick(r, topK, topP, sum, uniform[BLOCK_X], s);
		}
	}
	if (THREAD_X == 0) {
		ids[BLOCK_X] = id;
		logProbs[BLOCK_X] = (r.z[id] - r.top) / r.temperature - log64(mass);
	}
}
