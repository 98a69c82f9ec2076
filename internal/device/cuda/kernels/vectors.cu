// Kernels on loss vectors: a few thousand elements of float64, summed in
// ascending order, as device/cpu does.
#include "double.cuh"

// log1p64 for y of 0 to 1: what 1+y rounded off is added to first order.
DEVICE double log1p64(double y) {
	double u = 1 + y;
	return log64(u) + (y - (u - 1)) / u;
}

DEVICE double absolute(double x) { return double_of(bits_of(x) & 0x7fffffffffffffff); }

// tanh64 is (e^2x - 1)/(e^2x + 1), e^2x - 1 without cancellation where x is small.
DEVICE double tanh64(double x) {
	double a = 2 * absolute(x);
	if (a > 44)
		a = 44; // tanh rounds to 1
	double e = a < 0.3 ? series(a) * a : exp64(a) - 1, y = e / (e + 2);
	return x != x ? x : x < 0 ? -y : y;
}

// Numbers of the operations, those of cuda/vectors.go.
enum { NEG, SCALE, SHIFT, SQUARE, EXP, LOG, SOFTPLUS, SIGMOID, RELU, STEP, RECIPROCAL, CLAMP, INSIDE, TANH, SIGN };
enum { ADD, SUB, MUL, DIV, MAX, MIN, GREATER };

DEVICE double greater_of(double a, double b) { return a != a || b != b ? a + b : a > b ? a : b; }
DEVICE double lesser_of(double a, double b) { return a != a || b != b ? a + b : a < b ? a : b; }

KERNEL __launch_bounds__(256) void vec_unary(double *y, const double *x, long n, int op, double constant, double low, double high) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= n)
		return;
	double v = x[i], r = 0;
	switch (op) {
	case NEG: r = -v; break;
	case SCALE: r = constant * v; break;
	case SHIFT: r = v + constant; break;
	case SQUARE: r = v * v; break;
	case EXP: r = exp64(v); break;
	case LOG: r = log64(v); break;
	case SOFTPLUS: r = greater_of(v, 0) + log1p64(exp64(-absolute(v))); break;
	case SIGMOID: r = 1 / (1 + exp64(-v)); break;
	case RELU: r = greater_of(v, 0); break;
	case STEP: r = v > 0; break;
	case RECIPROCAL: r = 1 / v; break;
	case CLAMP: r = lesser_of(greater_of(v, low), high); break;
	case INSIDE: r = low <= v && v <= high; break;
	case TANH: r = tanh64(v); break;
	case SIGN: r = (v > 0) - (v < 0); break;
	}
	y[i] = r;
}

// step is 0 where b is of one element, else 1.
KERNEL __launch_bounds__(256) void vec_binary(double *y, const double *a, const double *b, long n, int step, int op) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i >= n)
		return;
	double v = a[i], w = b[i * step], r = 0;
	switch (op) {
	case ADD: r = v + w; break;
	case SUB: r = v - w; break;
	case MUL: r = v * w; break;
	case DIV: r = v / w; break;
	case MAX: r = greater_of(v, w); break;
	case MIN: r = lesser_of(v, w); break;
	case GREATER: r = v > w; break;
	}
	y[i] = r;
}

KERNEL __launch_bounds__(256) void vec_fill(double *y, const double *x, long n) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i < n)
		y[i] = x[0];
}

KERNEL __launch_bounds__(256) void vec_up(double *y, const float *x, long n) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i < n)
		y[i] = x[i];
}

KERNEL __launch_bounds__(256) void vec_down(float *y, const double *x, long n) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i < n)
		y[i] = (float)x[i];
}

KERNEL __launch_bounds__(256) void vec_gather(double *y, const double *x, const int *index, long n) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i < n)
		y[i] = x[index[i]];
}

KERNEL __launch_bounds__(256) void segment_sum_grad(float *dx, const double *ds, const int *sequence, long n) {
	long i = (long)BLOCK_X * 256 + THREAD_X;
	if (i < n)
		dx[i] = (float)ds[sequence[i]];
}

// sum_of adds x[n] with index[n] = s, n ascending; one warp makes a sum.
template <class E> DEVICE void sum_of(double *y, const E *x, const int *index, int N) {
	int s = BLOCK_X, lane = THREAD_X;
	double sum = 0;
	for (int n = 0; n < N; n += 32) {
		int m = n + lane;
		bool own = m < N && index[m] == s;
		double v = own ? (double)x[m] : 0;
		for (unsigned rest = vote(own); rest; rest &= rest - 1) sum += from_lane(v, __builtin_ctz(rest));
	}
	if (lane == 0)
		y[s] = sum;
}

KERNEL __launch_bounds__(32) void segment_sum(double *y, const float *x, const int *index, int N) { sum_of(y, x, index, N); }
KERNEL __launch_bounds__(32) void vec_scatter(double *y, const double *x, const int *index, int N) { sum_of(y, x, index, N); }

// y[1] = sum of x, ascending: one block fetches, one thread adds.
KERNEL __launch_bounds__(256) void vec_sum(double *y, const double *x, long n) {
	__shared__ double held[256];
	double sum = 0;
	for (long from = 0; from < n; from += 256) {
		if (from + THREAD_X < n)
			held[THREAD_X] = x[from + THREAD_X];
		__syncthreads();
		int count = n - from < 256 ? n - from : 256;
		if (THREAD_X == 0)
			for (int i = 0; i < count; i++) sum += held[i];
		__syncthreads();
	}
	if (THREAD_X == 0)
		y[0] = sum;
}
