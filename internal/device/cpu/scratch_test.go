package cpu

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// heldBytes is what the kernels that have run keep.
func (b *Backend) heldBytes() int64 {
	n := b.spaces.common.Bytes + b.fast.kept.scratch.Bytes + b.fast.narrow.across.Bytes + b.fast.narrow.upright.Bytes
	for _, m := range b.spaces.of {
		n += m.Bytes
	}
	for _, s := range b.fast.kept.slots {
		n += s.memory.Bytes
	}
	return n
}

// What is said of kernels without running them is what they keep once they have
// run on several inputs, which take every place.
func TestScratchBytes(t *testing.T) {
	const tokens, width, wide, rank, vocab = 300, 192, 448, 16, 1100
	attr := device.Attention{Heads: 6, KVHeads: 2, HeadDim: 32, Scale: 0.2}
	for _, precision := range []device.Type{device.F32, device.BF16} {
		for level := feature.AVX2; level <= feature.Detect(); level++ {
			t.Run(fmt.Sprintf("%s %s", level, precision), func(t *testing.T) {
				b, err := New(Options{Threads: 2, Activations: device.F32, Level: &level, Precision: precision})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				matrix := func(rows, cols int) device.View { return zeros(t, b, device.F32, rows, cols) }
				vector := func(typ device.Type, rows int) device.View { return zeros(t, b, typ, rows, 1) }
				x, dy, a, up := matrix(tokens, width), matrix(tokens, wide), matrix(rank, width), matrix(wide, rank)
				w, head, ids := matrix(wide, width), matrix(vocab, width), vector(device.I32, tokens)
				u := matrix(tokens, rank)
				heads, keys := matrix(tokens, 192), matrix(tokens, 64)
				var steps []device.Step
				add := func(kernel string, attr any, out, in []device.View) {
					steps = append(steps, device.Step{Kernel: kernel, Attr: attr, Call: device.Call{Out: out, In: in}})
				}
				views := func(v ...device.View) []device.View { return v }
				add("lora_linear", device.LoRA{Scale: 2}, views(dy), views(x, x, w, a, up))
				mask, wideMask, uw := zeros(t, b, device.I32, tokens, width/32), zeros(t, b, device.I32, tokens, width/32), matrix(rank, width)
				add("lora_linear", device.LoRA{Scale: 2}, views(dy, u), views(x, mask, w, a, up))
				add("matmul_tn", device.MatMul{Alpha: 1}, views(uw), views(u, x, mask))
				add("lora_dropped_dx", device.Dropout{P: 0.5}, views(x), views(dy, w, u, a, wideMask))
				for range numKept {
					other := matrix(tokens, wide)
					add("linear_dx", nil, views(x), views(other, w))
					add("lora_dx", nil, views(x), views(other, w, u, a))
				}
				add("lora_du", device.LoRA{Scale: 2}, views(up, u), views(dy, up, matrix(tokens, rank)))
				add("matmul_tn", device.MatMul{Alpha: 1}, views(up), views(dy, u))
				vectors := views(vector(device.F32, tokens), vector(device.F32, tokens), vector(device.F32, tokens), vector(device.F32, tokens))
				add("logprob", device.LogProb{}, vectors, views(x, head, ids))
				add("logprob", device.LogProb{}, append(vectors, matrix(tokens, width)), views(x, head, ids))
				add("logprob_dx", device.LogProb{}, views(x), views(x, head, ids, vectors[0], vectors[1]))
				masks := views(vector(device.I32, tokens), vector(device.I32, tokens), vector(device.I32, tokens))
				lse := matrix(tokens, attr.Heads)
				add("attention", attr, views(heads, lse), append(views(heads, keys, keys), masks...))
				dq, dk := matrix(tokens, 192), matrix(tokens, 64)
				add("attention_grad", attr, views(dq, dk, matrix(tokens, 64)), append(views(heads, keys, keys, heads, lse, heads), masks...))
				for i := range steps {
					k, err := b.Bind(steps[i].Kernel, steps[i].Attr)
					if err != nil {
						t.Fatal(err)
					}
					if err := k(&steps[i].Call); err != nil {
						t.Fatal(err)
					}
				}
				said, held := b.ScratchBytes(steps), b.heldBytes()
				if said < held || said > held+held/20 {
					t.Errorf("said %d bytes, the kernels keep %d", said, held)
				}
			})
		}
	}
}

// zeros reserves a view that the backend frees with itself.
func zeros(t *testing.T, b *Backend, typ device.Type, rows, cols int) device.View {
	t.Helper()
	m, err := b.Alloc(int64(rows*cols) * int64(typ.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return m.At(0, typ, rows, cols)
}

// A plan's views have no memory: an address of theirs that were taken for a pointer would
// end the program where a stack that holds it moves.
func TestScratchBytesOfNoMemory(t *testing.T) {
	level := feature.Detect()
	b, err := New(Options{Threads: 2, Activations: device.F32, Level: &level})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	view := func(typ device.Type, rows, cols int) device.View {
		return device.View{Addr: 1, Rows: rows, Cols: cols, Type: typ}
	}
	x, y, w, a, up, u := view(device.F32, 300, 64), view(device.F32, 300, 96), view(device.F32, 96, 64), view(device.F32, 16, 64), view(device.F32, 96, 16), view(device.F32, 300, 16)
	mask := view(device.I32, 300, 2)
	step := func(kernel string, attr any, out device.View, in ...device.View) device.Step {
		return device.Step{Kernel: kernel, Attr: attr, Call: device.Call{Out: []device.View{out, u}, In: in}}
	}
	steps := []device.Step{
		step("lora_linear", device.LoRA{Scale: 2}, y, x, mask, w, a, up), step("lora_linear_add", device.LoRA{Scale: 2}, y, x, x, w, a, up, y),
		step("lora_dropped_dx", device.Dropout{P: 0.5}, x, y, w, u, a, mask), step("lora_du", device.LoRA{Scale: 2}, up, y, up, u),
		step("matmul_tn", device.MatMul{Alpha: 1}, a, u, x, mask), step("logprob", device.LogProb{}, view(device.F32, 300, 1), x, w, view(device.I32, 300, 1)),
	}
	var stop atomic.Bool
	var collector sync.WaitGroup
	collector.Go(func() {
		for !stop.Load() {
			runtime.GC() // moves stacks of which little is used
		}
	})
	for range 2000 {
		growStack(1000)
		for range 20 {
			b.ScratchBytes(steps)
		}
	}
	stop.Store(true)
	collector.Wait()
}

// growStack makes the stack larger than what is used of it afterwards.
func growStack(depth int) {
	var frame [64]byte
	if depth > 0 {
		growStack(depth - 1)
	}
	runtime.KeepAlive(&frame)
}
