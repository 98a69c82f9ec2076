package cpu

import "align/internal/device"

// accelerate puts the kernels in machine code in the place of their portable
// twins, whose checks they keep.
func (f *fast) accelerate(kernels map[string]binder) {
	b, set := f.b, f.set
	kernels["embed"] = plain(func(k string) device.Kernel { return b.overRows(&fastEmbed{embed[float32]{kernel: k}}) })
	kernels["rmsnorm"] = instead(b, newNormForward[float32], func(n *normForward[float32]) rowKernel { return &fastNorm{n, set} })
	kernels["rmsnorm_dx"] = instead(b, newNormDX[float32], func(n *normDX[float32]) rowKernel { return &fastNormDX{n, set} })
	kernels["rmsnorm_dw"] = withAttribute(f.bindFastNormDW)
	kernels["bias_grad"] = plain(func(k string) device.Kernel {
		return b.overRows(&fastBiasGrad{biasGrad: biasGrad[float32]{kernel: k}, b: b})
	})
	kernels["embed_dw"] = plain(func(k string) device.Kernel {
		return b.overRows(&fastEmbedDW{embedDW: embedDW[float32]{kernel: k}, set: set})
	})
	kernels["scatter"] = plain(func(k string) device.Kernel {
		return b.overRows(&fastScatter{scatter: scatter[float32]{kernel: k}, set: set})
	})
	kernels["rope"] = instead(b, newRope[float32], func(r *rope[float32]) rowKernel { return &fastRope{r, set} })
	kernels["dropout"] = instead(b, newDropout[float32], func(d *dropout[float32]) rowKernel { return &fastDropout{d, set} })
	kernels["dropout_mask"] = overRowsWith(b, newDropoutMask(set))
	kernels["adamw"] = instead(b, newAdamW[float32], func(a *adamW[float32]) rowKernel { return &fastAdamW{a, set} })
	kernels["lora_linear"] = withAttribute(f.bindLoRA)
	kernels["lora_dropped_dx"] = withAttribute(f.bindLoRADroppedDX)
	kernels["lora_du"] = withAttribute(f.bindLoRADU)
	kernels["attention"] = withAttribute(f.bindAttention)
	kernels["attention_grad"] = withAttribute(f.bindAttentionGrad)
	kernels["cache_write"] = withAttribute(f.bindCacheWrite)
	kernels["attention_cached"] = withAttribute(f.bindCached)
	kernels["swiglu"], kernels["swiglu_grad"] = plain(f.newSwiGLU), plain(f.newSwiGLUGrad)
	kernels["sum_squares"] = plain(func(k string) device.Kernel { return newSumSquares(b, k, set.SumSquares) })
	kernels["logprob"] = withAttribute(bindLogProb(b, f, f.chunks()))
	kernels["logprob_dx"] = withAttribute(bindLogProbDX(b, f, f.weighLogits))
	kernels["logprob_dw"] = withAttribute(bindLogProbDW(b, f, f.weighLogits))
}

// instead is the binder of what takes the place of a portable kernel.
func instead[T any, K rowKernel](b *Backend, make func(kernel string, attr T) (K, error), replace func(K) rowKernel) binder {
	return overRowsWith(b, func(kernel string, attr T) (rowKernel, error) {
		k, err := make(kernel, attr)
		return replace(k), err
	})
}

// fastEmbed is embed from panels.
type fastEmbed struct{ embed[float32] }

func (e *fastEmbed) compute(lo, hi int) {
	if e.w.Layout == device.Plain {
		e.embed.compute(lo, hi)
		return
	}
	w, cols := packedOf(e.w), e.w.Cols
	for t := lo; t < hi; t++ {
		w.Row(e.y[t*cols:(t+1)*cols], int(e.ids[t]))
	}
}
