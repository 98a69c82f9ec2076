// The head: softmax statistics and gradients from a chunk of logits z, rows of
// `ld` float32, that gemm made. The whole [N,V] never exists.
#include "tensor.cuh"

#define NONE (-__builtin_inff())

// State of one row's softmax whose logits come chunk by chunk: with top the
// largest so far, sum is the sum of e^(z-top) and moment that of
// e^(z-top)*(z-top), which gives the entropy without cancellation. rest, where the
// slope is wanted, is sum without the target, exact where that has nearly all of it.
struct State {
	double sum, moment, rest;
	float top, target;
	int best; // the lowest id of the largest logit
};

// log_of is the natural logarithm of a positive normal number: x = 2^e f with f
// around 1, and log f = 2 artanh((f-1)/(f+1)) as a series.
DEVICE double log_of(double x) {
	unsigned long bits;
	__builtin_memcpy(&bits, &x, 8);
	int e = (int)(bits >> 52 & 2047) - 1023;
	bits = (bits & 0xfffffffffffffUL) | 0x3ff0000000000000UL;
	double f;
	__builtin_memcpy(&f, &bits, 8);
	if (f > 1.4142135623730951)
		f *= 0.5, e++;
	double s = (f - 1) / (f + 1), s2 = s * s, p = 0;
	UNROLL for (int i = 21; i >= 1; i -= 2) p = p * s2 + 1.0 / i;
	return e * 0.6931471805599453 + 2 * s * p;
}

// scale is y = s x of a block's row of cols elements; y may be x where it is float32.
template <class T> DEVICE void scale(T *y, const float *x, float s, int cols) {
	constexpr int N = WIDE<T>;
	for (int j = THREAD_X * N; j < cols; j += 256 * N) {
		float v[N];
		get(v, x, j, cols);
		UNROLL for (int k = 0; k < N; k++) v[k] *= s;
		put(y, j, cols, v);
	}
}

// Slope is what the slope of a row needs of a chunk: weights of ld bf16 take
// e^(z-top), 0 at the target and past the chunk's last id up to a multiple of 8; sums
// of cols float32, of chunks before, shrink where this one has raised top; y takes
// the target's row of the chunk's weight w, rows of ldw bf16.
struct Slope {
	unsigned short *weights;
	float *sums;
	float *y;
	const unsigned short *w;
	int ldw, cols;
};
struct None {};

// fold adds the logits of ids [col, col+width) to the rows' states. One block of 256
// for each row.
template <class S> DEVICE void fold(State *states, const float *z, const int *targets, int ld, int col, int width, S slope) {
	constexpr bool SLOPE = !__is_same(S, None);
	__shared__ float tops[8], sums[8], moments[8], rests[8];
	__shared__ int ids[8];
	int row = BLOCK_X, lane = THREAD_X % 32, warp = THREAD_X / 32, target = targets[row] - col;
	bool counts = targets[row] >= 0, within = target >= 0 && target < width;
	z += (long)row * ld;
	State old = states[row];
	if (col == 0)
		old = State{0, 0, 0, NONE, 0, 0};
	float top = NONE;
	int id = 0x7fffffff;
	for (int j = THREAD_X; j < width; j += 256)
		if (z[j] > top)
			top = z[j], id = j;
	UNROLL for (int m = 16; m; m /= 2) {
		float other = across(top, m);
		int its = across((unsigned)id, m);
		if (other > top || (other == top && its < id))
			top = other, id = its;
	}
	if (lane == 0)
		tops[warp] = top, ids[warp] = id;
	__syncthreads();
	top = old.top, id = old.best;
	UNROLL for (int w = 0; w < 8; w++) // equal ones stay with the lowest id: of the row so far, or of this chunk
		if (tops[w] > top || (tops[w] == top && id >= col && col + ids[w] < id))
			top = tops[w], id = col + ids[w];
	float sum = 0, moment = 0, rest = 0;
	for (int j = THREAD_X; j < width; j += 256) {
		float x = z[j] - top, e = exp_of(x);
		sum += e;
		moment = __builtin_fmaf(e, x, moment);
		if constexpr (SLOPE) {
			float weight = counts && j != target ? e : 0;
			rest += weight;
			slope.weights[(long)row * ld + j] = bf16_pair(weight, 0);
		}
	}
	bool raised = top > old.top && old.sum > 0;
	float shift = old.top - top;
	if constexpr (SLOPE) {
		if (int j = width + THREAD_X; j < (width + 7) / 8 * 8)
			slope.weights[(long)row * ld + j] = 0;
		long at = (long)row * slope.cols;
		if (raised)
			scale(slope.sums + at, slope.sums + at, exp_of(shift), slope.cols);
		if (within)
			for (int j = THREAD_X; j < slope.cols; j += 256) slope.y[at + j] = from_bf16(slope.w[(long)target * slope.ldw + j]);
		UNROLL for (int m = 16; m; m /= 2) rest += across(rest, m);
		if (lane == 0)
			rests[warp] = rest;
	}
	UNROLL for (int m = 16; m; m /= 2) sum += across(sum, m), moment += across(moment, m);
	if (lane == 0)
		sums[warp] = sum, moments[warp] = moment;
	__syncthreads();
	if (THREAD_X != 0)
		return;
	if (raised) {
		double c = exp_of(shift);
		old.moment = c * (old.moment + old.sum * shift);
		old.sum *= c, old.rest *= c;
	}
	UNROLL for (int w = 0; w < 8; w++) old.sum += sums[w], old.moment += moments[w];
	if constexpr (SLOPE)
		UNROLL for (int w = 0; w < 8; w++) old.rest += rests[w];
	if (within)
		old.target = z[target];
	old.top = top, old.best = id;
	states[row] = old;
}

KERNEL __launch_bounds__(256) void logprob_fold(State *states, const float *z, const int *targets, int ld, int col, int width) {
	fold(states, z, targets, ld, col, width, None{});
}
KERNEL __launch_bounds__(256) void logprob_fold_slope(State *states, const float *z, const int *targets, int ld, int col, int width,
                                                      unsigned short *weights, float *sums, float *y, const unsigned short *w, int ldw, int cols) {
	fold(states, z, targets, ld, col, width, Slope{weights, sums, y, w, ldw, cols});
}

// slope is y = d lp/d h of a row when all chunks are in: with p the softmax,
// ((1-p[target]) W[target] - the sum over the others of p W) / temperature. y holds
// W[target] before. 0 without a target. One block for each row.
KERNEL __launch_bounds__(256) void logprob_slope(float *y, const float *sums, const State *states, const int *targets, int cols, int ids,
                                                 float inverse) {
	constexpr int N = WIDE<float>;
	int row = BLOCK_X, target = targets[row];
	bool counts = target >= 0 && target < ids;
	double sum = states[row].sum;
	float own = counts ? (float)(inverse * (states[row].rest / sum)) : 0, others = (float)(inverse / sum);
	y += (long)row * cols, sums += (long)row * cols;
	for (int j = THREAD_X * N; j < cols; j += 256 * N) {
		float v[N] = {}, x[N];
		if (counts) {
			get(v, y, j, cols);
			get(x, sums, j, cols);
			UNROLL for (int k = 0; k < N; k++) v[k] = own * v[k] - others * x[k];
		}
		put(y, j, cols, v);
	}
}

#define SCALE_ROWS(name, T)                                                                            \
	KERNEL __launch_bounds__(256) void scale_rows_##name(T *y, const float *x, const float *s, int cols) { \
		scale(y + (long)BLOCK_X * cols, x + (long)BLOCK_X * cols, s[BLOCK_X], cols);                       \
	}
SCALE_ROWS(f32, float)
SCALE_ROWS(bf16, bf16)

// logprob_finish is lp, lse, entropy and hit of the rows, each where wanted.
KERNEL void logprob_finish(float *lp, float *lse, float *entropy, float *hit, const State *states, const int *targets, int n) {
	int i = BLOCK_X * BLOCK_SIZE + THREAD_X;
	if (i >= n)
		return;
	State s = states[i];
	double log = log_of(s.sum), all = s.top + log;
	bool counts = targets[i] >= 0;
	if (lp)
		lp[i] = counts ? (float)(s.target - all) : 0;
	if (lse)
		lse[i] = (float)all;
	if (entropy)
		entropy[i] = (float)(log - s.moment / s.sum);
	if (hit)
		hit[i] = counts && s.best == targets[i] ? 1 : 0;
}

// logprob_weigh is the gradient with respect to h W' of a chunk of logits in
// bf16: dlp * (1[id = target] - e^(z-lse)) / temperature, 0 where there is no
// target. One thread makes 8 neighbours.
KERNEL void logprob_weigh(unsigned short *dz, const float *z, const int *targets, const float *lse, const float *dlp, int rows, int ld,
                          int col, int width, float inverse) {
	unsigned i = BLOCK_X * BLOCK_SIZE + THREAD_X, chunks = (width + 7) / 8;
	int row = i / chunks, at = i % chunks * 8;
	if (row >= rows)
		return;
	int target = targets[row];
	float scale = target < 0 ? 0 : dlp[row] * inverse, less = lse[row], w[8];
	UNROLL for (int j = 0; j < 8; j++) {
		float v = scale * -exp_of(at + j < width ? z[(long)row * ld + at + j] - less : NONE);
		v = col + at + j == target ? v + scale : v;
		w[j] = target < 0 ? 0 : v;
	}
	put8(dz, (long)row * ld + at, w);
}
