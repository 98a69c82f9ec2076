package cpu

import "align/internal/device"

// accelerate puts the kernels in machine code in the place of their portable
// twins, whose checks and divisions into tasks they keep.
func (f *fast) accelerate(kernels map[string]binder) {
	over := func(k func(kernel string) rowKernel) binder {
		return plain(func(kernel string) device.Kernel { return f.b.overRows(k(kernel)) })
	}
	kernels["embed"] = over(func(k string) rowKernel { return &fastEmbed{embed[float32]{kernel: k}} })
	kernels["lora_linear"] = withAttribute(f.bindLoRA)
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
