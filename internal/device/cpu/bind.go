package cpu

import (
	"fmt"

	"align/internal/device"
)

// rowKernel is a kernel whose results can be computed for any ranges of its
// rows (or of whatever it is split over) in any order.
type rowKernel interface {
	// prepare checks the call, keeps its slices, and says how many rows there
	// are and how many make a task. The division must not depend on the number
	// of workers.
	prepare(c *device.Call) (rows, grain int, err error)
	// compute does rows lo to hi-1.
	compute(lo, hi int)
}

// rowJob runs a rowKernel over the pool.
type rowJob struct {
	work
	kernel      rowKernel
	rows, grain int
}

func (j *rowJob) do(task, _ int) {
	lo := task * j.grain
	j.kernel.compute(lo, min(lo+j.grain, j.rows))
}

// overRows is the kernel k spread over the pool.
func (b *Backend) overRows(k rowKernel) device.Kernel {
	j := &rowJob{kernel: k}
	j.job = j
	kernel := func(c *device.Call) error {
		rows, grain, err := k.prepare(c)
		if err != nil {
			return err
		}
		return b.runRows(j, rows, grain)
	}
	if m, is := k.(rowMaker); is {
		return b.roundedToo(m, kernel)
	}
	return kernel
}

func (b *Backend) runRows(j *rowJob, rows, grain int) error {
	j.rows, j.grain = rows, max(1, grain)
	return b.pool.run(&j.work, (rows+j.grain-1)/j.grain)
}

// taskElements is about how many elements of cheap work make a task: some
// 20 us, so that handing it out costs little.
const taskElements = 16 << 10

// rowGrain is how many rows of the given width make a task.
func rowGrain(width int) int { return max(1, taskElements/max(1, width)) }

// plain is the binder of a kernel that takes no attribute.
func plain(make func(kernel string) device.Kernel) binder {
	return func(kernel string, attr any) (device.Kernel, error) {
		if attr != nil {
			return nil, fmt.Errorf("cpu: %s: attribute is %T, want none", kernel, attr)
		}
		return make(kernel), nil
	}
}

// withAttribute is the binder of a kernel with an attribute of type T.
func withAttribute[T any](make func(kernel string, attr T) (device.Kernel, error)) binder {
	return func(kernel string, attr any) (device.Kernel, error) {
		a, err := attribute[T](kernel, attr)
		if err != nil {
			return nil, err
		}
		return make(kernel, a)
	}
}

// overRowsWith is the binder of a rowKernel with an attribute of type T.
func overRowsWith[T any, K rowKernel](b *Backend, make func(kernel string, attr T) (K, error)) binder {
	return withAttribute(func(kernel string, attr T) (device.Kernel, error) {
		k, err := make(kernel, attr)
		if err != nil {
			return nil, err
		}
		return b.overRows(k), nil
	})
}

// addBehind fills in the kernels of layers with a sum.
func (b *Backend) addBehind() {
	for _, layer := range []string{"linear", "lora_linear"} {
		b.kernels[layer+"_add"] = b.withBehind(b.kernels[layer])
	}
}

// kernelTable lists every kernel of package device for activations of type E,
// with the given products.
func kernelTable[E float](b *Backend, p products[E]) map[string]binder {
	return map[string]binder{
		"embed":            plain(func(k string) device.Kernel { return b.overRows(&embed[E]{kernel: k}) }),
		"embed_dw":         plain(func(k string) device.Kernel { return b.overRows(&embedDW[E]{kernel: k}) }),
		"gather":           plain(func(k string) device.Kernel { return b.overRows(&gather[E]{kernel: k}) }),
		"scatter":          plain(func(k string) device.Kernel { return b.overRows(&scatter[E]{kernel: k}) }),
		"rmsnorm":          overRowsWith(b, newNormForward[E]),
		"rmsnorm_dx":       overRowsWith(b, newNormDX[E]),
		"rmsnorm_dw":       withAttribute(bindNormDW[E](b)),
		"linear":           plain(func(k string) device.Kernel { return newLinear[E](p, k) }),
		"linear_dx":        plain(func(k string) device.Kernel { return newLinearDX[E](p, k) }),
		"bias_grad":        plain(func(k string) device.Kernel { return b.overRows(&biasGrad[E]{kernel: k}) }),
		"lora_linear":      withAttribute(bindLoRALinear[E](b, p)),
		"lora_du":          withAttribute(bindLoRADU(p)),
		"lora_dropped_dx":  withAttribute(bindLoRADroppedDX[E](b, p)),
		"lora_dx":          plain(func(k string) device.Kernel { return newLoRADX[E](p, k) }),
		"dora_norm":        overRowsWith(b, newDoRANorm[E]),
		"dora_scale":       overRowsWith(b, newDoRAScale[E]),
		"dora_dm":          plain(func(k string) device.Kernel { return b.overRows(&doraDM[E]{kernel: k}) }),
		"matmul_nt":        withAttribute(bindMatMul[E](b, p, false, false)),
		"matmul_nn":        withAttribute(bindMatMul[E](b, p, false, true)),
		"matmul_tn":        withAttribute(bindMatMul[E](b, p, true, true)),
		"rope_table":       withAttribute(bindRopeTable[E](b)),
		"rope":             overRowsWith(b, newRope[E]),
		"attention":        withAttribute(bindAttention[E](b)),
		"attention_grad":   withAttribute(bindAttentionGrad[E](b)),
		"cache_write":      overRowsWith(b, newCacheWrite[E]),
		"attention_cached": withAttribute(bindAttentionCached[E](b)),
		"swiglu":           plain(func(k string) device.Kernel { return b.overRows(&swiGLU[E]{kernel: k}) }),
		"swiglu_grad":      plain(func(k string) device.Kernel { return b.overRows(&swiGLUGrad[E]{kernel: k}) }),
		"add":              plain(func(k string) device.Kernel { return newAdd(b, k) }),
		"accumulate":       plain(func(k string) device.Kernel { return newAccumulate(b, k) }),
		"dropout":          overRowsWith(b, newDropout[E]),
		"dropout_mask":     overRowsWith(b, newDropoutMask(nil)),
		"logprob":          withAttribute(bindLogProb(b, p, chunks[E]{add: addChunk[E], exp: expFrom[E], read: readRow[E]})),
		"logprob_dx":       withAttribute(bindLogProbDX(b, p, weighLogits[E])),
		"logprob_dw":       withAttribute(bindLogProbDW(b, p, weighLogits[E])),
		"scale_rows":       plain(func(k string) device.Kernel { return b.overRows(&scaleRows[E]{kernel: k}) }),
		"segment_sum":      plain(newSegmentSum[E]),
		"segment_sum_grad": plain(newSegmentSumGrad[E]),
		"vec_gather":       plain(newVecGather),
		"vec_scatter":      plain(newVecScatter),
		"vec_unary":        withAttribute(bindVecUnary),
		"vec_binary":       withAttribute(bindVecBinary),
		"vec_sum":          plain(newVecSum),
		"vec_fill":         plain(newVecFill),
		"vec_convert":      plain(newVecConvert),
		"sum_squares":      plain(func(k string) device.Kernel { return newSumSquares(b, k, squares[E]) }),
		"adamw":            overRowsWith(b, newAdamW[E]),
		"zero":             plain(func(k string) device.Kernel { return b.overRows(&zero{kernel: k}) }),
	}
}
