package cpu

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Kernels that write a side of products as these round it write the rounded bits,
// and products that read it give the bits of those that round; on a level that
// does not round sides a call with such a view is refused.
func TestRoundedKernels(t *testing.T) {
	const rows, cols, n, rank = 45, 192, 70, 16
	for _, level := range []feature.Level{feature.AMX, feature.AVX512BF16, feature.AVX512, feature.AVX2, feature.Generic} {
		if !feature.Has(level) {
			continue
		}
		t.Run(level.String(), func(t *testing.T) {
			b := start(t, Options{Threads: 2, Activations: device.F32, Level: &level, Precision: device.BF16})
			r := roundedCase{t: t, backend: b, refused: b.Rounded() != device.BF16}
			key, seed := r.view(device.I32, rows, 1), r.view(device.I32, 2, 1)
			for i, s := 0, device.Slice[int32](key); i < len(s); i++ {
				s[i] = int32(i * 7)
			}
			x, g := r.view(device.F32, rows, cols), r.view(device.F32, rows, cols)
			half := r.rounded("rmsnorm", device.Norm{Eps: 1e-5, Width: cols}, x, r.view(device.F32, cols, 1))
			r.rounded("rmsnorm", device.Norm{Eps: 1e-5, Width: cols / 3}, x, r.view(device.F32, cols/3, 1))
			r.rounded("swiglu", nil, x, g)
			drops := device.Dropout{P: 0.3, Stream: 5}
			xd := r.rounded("dropout", drops, x, key, seed)
			mask := r.view(device.I32, rows, cols/32)
			if err := r.run("dropout_mask", drops, mask, key, seed); err != nil {
				t.Fatal(err)
			}
			r.rounded("rope", device.Rope{HeadDim: cols / 3}, x, r.view(device.F32, rows, cols/3))
			w, a, up := r.view(device.F32, n, cols), r.view(device.F32, rank, cols), r.view(device.F32, n, rank)
			du := r.view(device.F32, rows, rank)
			r.reads("linear", nil, rows, n, []int{0}, half, w)
			r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{0, 1}, half, half, w, a, up)
			r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{1}, x, half, w, a, up)
			r.reads("matmul_nt", device.MatMul{Alpha: 1}, rows, rank, []int{0}, half, a)
			r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{0}, half, mask, w, a, up)
			r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{1}, x, xd, w, a, up)
			r.reads("matmul_tn", device.MatMul{Alpha: 1}, rank, cols, []int{1}, du, half)
			r.reads("matmul_tn", device.MatMul{Alpha: 1}, rank, cols, []int{1}, du, half, mask)
		})
	}
}

type roundedCase struct {
	t       *testing.T
	backend *Backend
	refused bool
	next    int
}

func (r *roundedCase) view(t device.Type, rows, cols int) device.View {
	v := device.View{Rows: rows, Cols: cols, Type: t}
	mem, err := r.backend.Alloc(v.Bytes())
	if err != nil {
		r.t.Fatal(err)
	}
	v.Addr = mem.Addr
	if t == device.F32 {
		for i, s := 0, device.Slice[float32](v); i < len(s); i++ {
			r.next++
			s[i] = float32(r.next*r.next%1009)/1009 - 0.5
		}
	}
	return v
}

func (r *roundedCase) run(kernel string, attr any, out device.View, in ...device.View) error {
	k, err := r.backend.Bind(kernel, attr)
	if err != nil {
		r.t.Fatal(err)
	}
	return k(&device.Call{Out: []device.View{out}, In: in})
}

// rounded runs a kernel into float32 and into bfloat16, and is the latter.
func (r *roundedCase) rounded(kernel string, attr any, in ...device.View) device.View {
	rows, cols := in[0].Rows, in[0].Cols
	wide, half := r.view(device.F32, rows, cols), r.view(device.BF16, rows, cols)
	if err := r.run(kernel, attr, wide, in...); err != nil {
		r.t.Fatal(err)
	}
	if err := r.run(kernel, attr, half, in...); (err != nil) != r.refused {
		r.t.Fatalf("%s: error %v, want one: %v", kernel, err, r.refused)
	}
	if r.refused {
		return half
	}
	want := make([]uint16, wide.Len())
	r.backend.fast.set.ToBF16(want, device.Slice[float32](wide))
	if !slices.Equal(device.Slice[uint16](half), want) {
		r.t.Errorf("%s: y is not the rounded one", kernel)
	}
	return half
}

// reads compares a kernel on sides of bfloat16, which are the inputs listed, with
// itself on the same numbers in float32.
func (r *roundedCase) reads(kernel string, attr any, rows, cols int, sides []int, in ...device.View) {
	got, want := r.view(device.F32, rows, cols), r.view(device.F32, rows, cols)
	if err := r.run(kernel, attr, got, in...); (err != nil) != r.refused {
		r.t.Fatalf("%s: error %v, want one: %v", kernel, err, r.refused)
	}
	if r.refused {
		return
	}
	plain := slices.Clone(in)
	wide := r.view(device.F32, in[sides[0]].Rows, in[sides[0]].Cols)
	r.backend.fast.set.FromBF16(device.Slice[float32](wide), device.Slice[uint16](in[sides[0]]))
	for _, i := range sides {
		plain[i] = wide
	}
	if err := r.run(kernel, attr, want, plain...); err != nil {
		r.t.Fatal(err)
	}
	if !slices.Equal(device.Slice[float32](got), device.Slice[float32](want)) {
		r.t.Errorf("%s: y differs from that of a side in float32", kernel)
	}
}
