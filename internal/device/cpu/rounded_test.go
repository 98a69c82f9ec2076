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
	for _, level := range []feature.Level{feature.AMX, feature.AVX512BF16, feature.AVX512, feature.AVX2, feature.Generic} {
		if !feature.Has(level) {
			continue
		}
		t.Run(level.String(), func(t *testing.T) {
			checkRoundedKernels(t, level, 192, 352)
			checkRoundedKernels(t, level, 144, 688)
		})
	}
}

func checkRoundedKernels(t *testing.T, level feature.Level, cols, wide int) {
	t.Helper()
	const rows, n, rank = 45, 70, 16
	b := start(t, Options{Threads: 2, Activations: device.F32, Level: &level, Precision: device.BF16})
	if cols%b.RoundedCols() != 0 {
		return
	}
	r := roundedCase{t: t, backend: b, refused: b.Rounded() != device.BF16}
	key, seed := r.view(device.I32, rows, 1), r.view(device.I32, 2, 1)
	for i, s := 0, device.Slice[int32](key); i < len(s); i++ {
		s[i] = int32(i * 7)
	}
	x, g := r.view(device.F32, rows, cols), r.view(device.F32, rows, cols)
	panels := r.placed(wide, cols)
	half := r.rounded("rmsnorm", device.Norm{Eps: 1e-5, Width: cols}, x, r.view(device.F32, cols, 1))
	r.rounded("rmsnorm", device.Norm{Eps: 1e-5, Width: cols / 3}, x, r.view(device.F32, cols/3, 1))
	r.rounded("swiglu", nil, x, g)
	drops := device.Dropout{P: 0.3, Stream: 5}
	xd := r.rounded("dropout", drops, x, key, seed)
	mask := r.view(device.I32, rows, (cols+31)/32)
	if err := r.run("dropout_mask", drops, mask, key, seed); err != nil {
		t.Fatal(err)
	}
	r.rounded("rope", device.Rope{HeadDim: cols / 3}, x, r.view(device.F32, rows, cols/3))
	w, a, up := r.view(device.F32, n, cols), r.view(device.F32, rank, cols), r.view(device.F32, n, rank)
	du := r.view(device.F32, rows, rank)
	r.writes("linear", nil, rows, wide, half, panels)
	r.writes("lora_linear", device.LoRA{Scale: 2}, rows, wide, half, mask, panels, a, r.view(device.F32, wide, rank))
	r.writes("lora_linear", device.LoRA{Scale: 2}, rows, wide, half, half, panels, a, r.view(device.F32, wide, rank))
	dy := r.writes("linear", nil, rows, wide, x, panels)
	r.writes("linear_dx", nil, rows, cols, dy, panels)
	r.writes("lora_dx", nil, rows, cols, dy, panels, du, a)
	r.writes("lora_dropped_dx", drops, rows, cols, dy, panels, du, a, mask)
	for _, rank := range []int{4, 16, 32, 40} {
		r.reads("matmul_tn", device.MatMul{Alpha: 1}, wide, rank, []int{0}, dy, r.view(device.F32, rows, rank))
		r.readsDU(dy, r.view(device.F32, wide, rank), r.view(device.F32, rows, rank))
	}
	r.gates(rows, wide)
	r.reads("linear", nil, rows, n, []int{0}, half, w)
	r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{0, 1}, half, half, w, a, up)
	r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{1}, x, half, w, a, up)
	r.reads("matmul_nt", device.MatMul{Alpha: 1}, rows, rank, []int{0}, half, a)
	r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{0}, half, mask, w, a, up)
	r.reads("lora_linear", device.LoRA{Scale: 2}, rows, n, []int{1}, x, xd, w, a, up)
	r.reads("matmul_tn", device.MatMul{Alpha: 1}, rank, cols, []int{1}, du, half)
	r.reads("matmul_tn", device.MatMul{Alpha: 1}, rank, cols, []int{1}, du, half, mask)
}

// The same for many rows and few, which take other ways, and for sums that are cut.
func TestRoundedResults(t *testing.T) {
	for _, level := range []feature.Level{feature.AMX, feature.AVX512BF16} {
		for _, c := range [][3]int{{1, 96, 64}, {16, 64, 96}, {17, 64, 96}, {33, 96, 2144}, {70, 96, 2144}, {300, 64, 64}, {600, 544, 64}, {1030, 512, 2144}, {33, 80, 48}, {300, 688, 256}} {
			for _, weight := range []device.Type{device.F32, device.Q8_0} {
				if rows, cols, k := c[0], c[1], c[2]; feature.Has(level) {
					b := start(t, Options{Threads: 2, Activations: device.F32, Level: &level, Precision: device.BF16})
					if cols%b.RoundedCols() != 0 || k%b.RoundedCols() != 0 || weight == device.Q8_0 && k%32 != 0 {
						continue
					}
					r := roundedCase{t: t, backend: b}
					x, w, a, up := r.view(device.F32, rows, k), r.placed(cols, k), r.view(device.F32, 16, k), r.view(device.F32, cols, 16)
					if weight == device.Q8_0 {
						w = r.view(device.Q8_0, cols, k)
						for i, bytes := 0, rawBytes(w); i < len(bytes); i++ {
							bytes[i] = byte(i*37) &^ 0x40 // scales are finite
						}
					}
					r.writes("linear", nil, rows, cols, x, w)
					r.writes("lora_linear", device.LoRA{Scale: 2}, rows, cols, x, x, w, a, up)
					dy, du := r.view(device.F32, rows, cols), r.view(device.F32, rows, 16)
					r.writes("linear_dx", nil, rows, k, dy, w)
					r.writes("lora_dx", nil, rows, k, dy, w, du, a)
					drops, key, seed := device.Dropout{P: 0.3, Stream: 5}, r.view(device.I32, rows, 1), r.view(device.I32, 2, 1)
					mask := r.view(device.I32, rows, (k+31)/32)
					if err := r.run("dropout_mask", drops, mask, key, seed); err != nil {
						t.Fatal(err)
					}
					r.writes("lora_dropped_dx", drops, rows, k, dy, w, du, a, mask)
					r.writes("lora_linear", device.LoRA{Scale: 2}, rows, cols, x, mask, w, a, up)
					for _, rank := range []int{4, 16, 40} {
						r.readsDU(r.writes("linear", nil, rows, cols, x, w), r.view(device.F32, cols, rank), r.view(device.F32, rows, rank))
					}
				}
			}
		}
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

// placed is a frozen weight as products read it.
func (r *roundedCase) placed(rows, cols int) device.View {
	plain := r.view(device.F32, rows, cols)
	w, err := r.backend.Place(device.Weight{Name: "w", Type: device.F32, Rows: rows, Cols: cols, Read: func(dst []byte, row, n int) error {
		copy(dst, rawBytes(plain.Row(row, n)))
		return nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	return w
}

// gates compares SwiGLU and its gradient on bfloat16 with those on the same numbers in
// float32, and where some views are float32.
func (r *roundedCase) gates(rows, cols int) {
	g, u, dy := r.view(device.BF16, rows, cols), r.view(device.BF16, rows, cols), r.view(device.BF16, rows, cols)
	wide := func(v device.View) device.View {
		w := r.view(device.F32, rows, cols)
		if !r.refused {
			r.backend.fast.set.ToBF16(device.Slice[uint16](v), device.Slice[float32](w))
			r.backend.fast.set.FromBF16(device.Slice[float32](w), device.Slice[uint16](v))
		}
		return w
	}
	g32, u32, dy32 := wide(g), wide(u), wide(dy)
	y, dg := r.rounded("swiglu", nil, g32, u32), r.view(device.BF16, rows, cols)
	du := r.view(device.BF16, rows, cols)
	for _, in := range [][]device.View{{g, u}, {g32, u}, {g, u32}} {
		got := r.view(device.BF16, rows, cols)
		if err := r.run("swiglu", nil, got, in...); (err != nil) != r.refused {
			r.t.Fatalf("swiglu: error %v, want one: %v", err, r.refused)
		}
		if !slices.Equal(device.Slice[uint16](got), device.Slice[uint16](y)) {
			r.t.Errorf("swiglu of bfloat16: y differs")
		}
	}
	if r.refused {
		return
	}
	k, err := r.backend.Bind("swiglu_grad", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	want := []device.View{r.view(device.F32, rows, cols), r.view(device.F32, rows, cols), r.view(device.F32, rows, cols)}
	for i, in := range [][]device.View{{g32, u32, dy32}, {g, u, dy}, {g, u, dy32}, {g32, u, dy}} {
		out := []device.View{dg, du, r.view(device.BF16, rows, cols)}
		if i == 0 {
			out = want
		}
		if err := k(&device.Call{Out: out, In: in}); err != nil {
			r.t.Fatal(err)
		}
		for j := range out {
			rounded := make([]uint16, rows*cols)
			if r.backend.fast.set.ToBF16(rounded, device.Slice[float32](want[j])); i > 0 && !slices.Equal(rounded, device.Slice[uint16](out[j])) {
				r.t.Errorf("swiglu_grad, inputs %d: gradient %d is not the rounded one", i, j)
			}
		}
	}
	if err := k(&device.Call{Out: []device.View{{Type: device.BF16, Rows: rows, Cols: cols}, du, {}}, In: []device.View{g, u, dy}}); err != nil {
		r.t.Errorf("swiglu_grad of one output: %v", err)
	}
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
	return r.writes(kernel, attr, in[0].Rows, in[0].Cols, in...)
}

// writes is rounded for a y of a shape of its own.
func (r *roundedCase) writes(kernel string, attr any, rows, cols int, in ...device.View) device.View {
	wide, half := r.view(device.F32, rows, cols), r.view(device.BF16, rows, cols)
	if err := r.run(kernel, attr, wide, in...); err != nil && !r.refused {
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

// readsDU compares both gradients of lora_du of a dy in bfloat16, the second time added to,
// with those of the same numbers in float32.
func (r *roundedCase) readsDU(dy, b, u device.View) {
	wide := r.view(device.F32, dy.Rows, dy.Cols)
	if !r.refused {
		r.backend.fast.set.FromBF16(device.Slice[float32](wide), device.Slice[uint16](dy))
	}
	var got [2][]float32
	for i, dy := range []device.View{wide, dy} {
		out := []device.View{r.view(device.F32, b.Rows, b.Cols), r.view(device.F32, u.Rows, u.Cols)}
		k, err := r.backend.Bind("lora_du", device.LoRA{Scale: 2})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, accumulate := range []bool{false, true} {
			if err := k(&device.Call{Out: out, In: []device.View{dy, b, u}, Accumulate: accumulate}); (err != nil) != (r.refused && i == 1) {
				r.t.Fatalf("lora_du: error %v, refused %v", err, r.refused)
			}
		}
		got[i] = slices.Concat(device.Slice[float32](out[0]), device.Slice[float32](out[1]))
	}
	if !r.refused && !slices.Equal(got[0], got[1]) {
		r.t.Errorf("lora_du of %d x %d, rank %d: a dy in bfloat16 gives other bits", dy.Rows, dy.Cols, b.Cols)
	}
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
