package device

// The kernels that every backend offers. A is the activation type of the
// program (F32, BF16 on a card, or F64 where a proof needs it); W stands for a
// frozen weight of any type and layout that Place returned; all other views are
// Plain. Beside activations of BF16 everything that is no activation is F32: norms'
// weights, biases, adapters, angles, lse, lp, entropy, hit and the gradients of
// weights (A.Wide()); a product's y and its sides are BF16 or F32 each. Every
// output row depends on its own input rows only, and every reduction has a
// fixed order, so that a segment's numbers do not depend on where it stands
// (place-invariance) nor on the number of threads.
//
//	embed           y[T,C] = W[ids[t]]                                in: W[V,C], ids I32[T]
//	embed_dw        dW[V,C] += dy by ids            (Accumulate)      in: dy[T,C], ids I32[T]                (dW Plain)
//	rmsnorm         y = x*rsqrt(mean(x^2)+eps)*w                      in: x[T,C], w[Width]                   attr Norm
//	rmsnorm_dx      dx                                                in: x, w, dy                           attr Norm
//	rmsnorm_dw      dw[Width]                       (Accumulate)      in: x, dy                              attr Norm
//	linear          y[T,N] = x W'  (+ bias)                           in: x[T,C], W[N,C] (, bias[N])
//	linear_dx       dx[T,C] = dy W                  (Accumulate)      in: dy[T,N], W[N,C]
//	bias_grad       db[N] = column sums of dy       (Accumulate)      in: dy[T,N]
//	lora_linear     y = x W' + u B' (+ bias) (, u = scale xd A')      in: x[T,C], xd[T,C], W[N,C], A[R,C], B[N,R] (, bias[N])   attr LoRA; xd is x where nothing drops, or a mask of x: then u takes x where it has a 1
//	lora_du         dB[N,R] = dy' u, du[T,R] = scale dy B (Accumulate: dB)   in: dy[T,N], B[N,R], u[T,R]     attr LoRA
//	lora_dx         dx[T,C] = dy W + du A           (Accumulate)      in: dy[T,N], W[N,C], du[T,R], A[R,C]
//	lora_dropped_dx dx[T,C] = dy W + Scale du A     (Accumulate)      in: dy, W, du, A, mask of dx           attr Dropout; du A joins where the mask has a 1
//	dora_norm       n[N] = length of the rows of W + scale B A        in: s F64[N] (squared lengths of W's rows), B[N,R], A W' [R,N], A A' [R,R]   attr LoRA
//	dora_scale      y[T,N] = z (m/n - Shift) (+ bias)                 in: z[T,N], m[N], n[N] (, bias[N])     attr DoRA; may be in place; 0 for m/n where n is 0
//	dora_dm         dm[N] = sum over t of dy z / n  (Accumulate)      in: z[T,N], n[N], dy[T,N]
//	matmul_nt       y[M,N] = alpha x[M,K] w[N,K]'   (Accumulate)      in: x, w (both Plain, type A)          attr MatMul
//	matmul_nn       y[M,N] = alpha x[M,K] w[K,N]    (Accumulate)      in: x, w                               attr MatMul
//	matmul_tn       y[M,N] = alpha x[K,M]' w[K,N]   (Accumulate)      in: x, w (, mask of w: it counts where that has a 1)   attr MatMul
//	rope_table      y[T,D] = cos in columns [0,D/2), sin in [D/2,D)   in: pos I32[T]                         attr RopeTable
//	rope            rotate-half (Hugging Face) of each head           in: x[T,H*D], table[T,D]               attr Rope; may be in place
//	attention       o[T,H*D], lse[T,H]                                in: q[T,H*D], k[T,K*D], v[T,K*D], prefixStart, prefixEnd, segmentStart I32[T]   attr Attention
//	attention_grad  dq, dk, dv                                        in: q, k, v, o, lse, do, prefixStart, prefixEnd, segmentStart                     attr Attention
//	swiglu          y = silu(g)*u                                     in: g[T,F], u[T,F]
//	swiglu_grad     dg, du, y (swiglu's)                              in: g, u, dy; dg may overwrite g, du may overwrite u
//	add             y = a + b (any type of A, F64; any shape)         in: a, b; y may be a or b
//	accumulate      y += a                                            in: a
//	gather          y[N,C] = x[rows[n]]                               in: x[T,C], rows I32[N]
//	scatter         y[T,C] = sum over n, ascending, of dy[n] at rows[n]   in: dy[N,C], rows I32[N], like[T,C] (read for its size only)
//	dropout         y = x*keep*Scale                                  in: x[T,C], key I32[T], seed I32[2]    attr Dropout; its gradient is itself on dy
//	dropout_mask    mask[T,(C+31)/32] I32 of x[T,C]: bit j%32 of word j/32 is 1 where dropout keeps column j   in: key I32[T], seed I32[2]   attr Dropout
//	logprob         lp[N], lse[N], entropy[N], hit[N] (type A)        in: h[N,C], W[V,C], targets I32[N]     attr LogProb; of a Sloper with slope[N,C] = d lp/d h, wide
//	logprob_dx      dh[N,C]                                           in: h, W, targets, lse, dlp[N]         attr LogProb
//	logprob_dw      dW[V,C]                         (Accumulate)      in: h, W, targets, lse, dlp            attr LogProb (dW Plain)
//	scale_rows      y[N,C] = s[n] x[n] (of a Sloper)                  in: x[N,C], s[N], both wide; may be in place where A is wide
//
// Decoding keeps keys and values in pages of PageRows rows of a cache; a
// sequence's pages are listed in order: first those of its prefix (a prompt that
// several samples share), then its own. A row sees the whole prefix and its own
// first own[t] positions, in the order of sums of the attention kernel, so that
// a decoded token has the bits of the same token in a pack. How a page holds its
// positions is the backend's own affair: attention_cached alone reads what
// cache_write wrote, of heads of the same size. A page's positions are written in
// ascending order; the first one begins the page anew, whatever it held:
//
//	cache_write       the keys or values x[t] come to slot[t]         in: x[T,K*D], slot I32[T]   attr Cache; Out: cache[S,K*D]
//	attention_cached  o[T,H*D]                                        in: q[T,H*D], keys[S,K*D], values[S,K*D], sequence I32[T], own I32[T], pages I32[B,P], prefix I32[B]   attr Attention
//
// A Joiner does several of these by one kernel, with the same bits:
//
//	add_rmsnorm       sum[T,C] = a + b, y = rmsnorm of sum            in: a[T,C], b[T,C], w[Width]   attr Norm; sum and y may each be a or b, not the same one
//	linear_add        y[T,N] = r + linear                             in: linear's, r[T,N]; y lies over none of them
//	lora_linear_add   y[T,N] = r + lora_linear (, u)                  in: lora_linear's, r[T,N]   attr LoRA; y lies over none of them
//	rope_cache        y = rope of q; keys, values = cache_write of rope of k, and of v   in: q[T,H*D], k[T,K*D], v[T,K*D], table[T,D], slot I32[T]   attr Rope; Out: y, keys[S,K*D], values[S,K*D]; y may be q
//
// A backend may draw tokens itself, so that a decoding step reads ids instead of
// logits; draws and log-probabilities are those of internal/rollout:
//
//	sample            id I32[N], lp F64[N]                            in: z F32[N,V], uniform F64[N]   attr Sampling
//
// Loss vectors are F64 in every program, so that sums over thousands of tokens
// and the exactness of margins do not hang on the activation type:
//
//	segment_sum       s[S] = sum of x[n] with sequence[n] = s, n ascending     in: x[N] (A), sequence I32[N]
//	segment_sum_grad  dx[N] (A) = ds[sequence[n]]                              in: ds[S], sequence I32[N]
//	vec_gather        y[P] = x[index[p]]                                       in: x[S], index I32[P]
//	vec_scatter       y[S] = sum of dy[p] at index[p], p ascending             in: dy[P], index I32[P], like[S] (size only)
//	vec_unary         y = f(x)                                                 in: x                                  attr Vec
//	vec_binary        y = f(a, b); b of one element serves all                 in: a, b                               attr Vec
//	vec_sum           y[1] = sum of x, ascending                               in: x
//	vec_fill          y[P] = x[0]                                              in: x[1], like[P] (size only)
//	vec_convert       y = x in the other of A and F64                          in: x
//
// Optimiser kernels run over one flat buffer:
//
//	sum_squares     y[1] F64 = sum of x^2 in blocks of 4096, blocks ascending  in: x[n] (A)
//	adamw           p, m, v in place                                           in: g[n], control F64[4] = clip scale, learning rate, bias corrections 1-b1^t and 1-b2^t   attr AdamW; Out: p, m, v
//	zero            y = 0                                                      in: none
//
// control[0] not finite means: leave everything untouched.

// Norm is the attribute of the rmsnorm kernels: groups of Width columns are
// normalised by themselves (Width = C for the layer norm, D for a norm per head).
type Norm struct {
	Eps   float64
	Width int
}

// LoRA is the attribute of lora_linear and lora_du.
type LoRA struct{ Scale float64 }

// DoRA is the attribute of dora_scale: Shift 0 scales by m/n, Shift 1 gives what
// that adds to z.
type DoRA struct{ Shift float64 }

// MatMul is the attribute of the plain products.
type MatMul struct{ Alpha float64 }

// RopeTable is the attribute of rope_table: the angle of pair i at position p
// is p*InvFreq[i], computed in float64. len(InvFreq) is D/2.
type RopeTable struct{ InvFreq []float64 }

// Rope is the attribute of rope. Inverse turns backwards: the gradient.
type Rope struct {
	HeadDim int
	Inverse bool
}

// Attention is the attribute of the attention kernels. Query head h reads
// key/value head h/(Heads/KVHeads). Query row i sees key rows j with
// prefixStart[i] <= j < prefixEnd[i] or segmentStart[i] <= j <= i.
type Attention struct {
	Heads, KVHeads, HeadDim int
	Scale                   float64
}

// PageRows is the number of positions in one page of a key/value cache: the
// tile of the attention kernels, so that sums are cut at the same places.
const PageRows = 64

// Cache is the attribute of cache_write: x holds values, or else keys, of heads of
// HeadDim columns.
type Cache struct {
	HeadDim int
	Values  bool
}

// LogProb is the attribute of the logprob kernels: logits are divided by
// Temperature (0 means 1) before the softmax. entropy is of the softmax in
// nats; hit is 1 where the target has the largest logit (lowest id first).
type LogProb struct{ Temperature float64 }

// Sampling is the attribute of sample: temperature 0 takes the largest logit;
// TopK 0, TopP 1 and MinP 0 cut nothing off. lp is the log-probability under the
// softmax of z/Temperature before anything is cut off.
type Sampling struct {
	Temperature float64
	TopK        int
	TopP, MinP  float64
}

// Vec is the attribute of vec_unary and vec_binary.
//
// Unary: neg, scale (Const*x), shift (x+Const), square, exp, log, softplus,
// sigmoid, relu, step (1 where x > 0, else 0), reciprocal, clamp (to [Lo, Hi]),
// inside (1 where Lo <= x <= Hi, else 0), tanh, sign.
// Binary: add, sub, mul, div, max, min, greater (1 where a > b, else 0).
type Vec struct {
	Op     string
	Const  float64
	Lo, Hi float64
}

// AdamW is the attribute of adamw: decoupled weight decay as in
// https://arxiv.org/abs/1711.05101, moments in float32 (float64 in F64).
type AdamW struct{ Beta1, Beta2, Eps, WeightDecay float64 }
