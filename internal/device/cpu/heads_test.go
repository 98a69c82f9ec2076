package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Attention over q, k and v in bfloat16, each of them or all, has the bits of
// attention over the float32 that were rounded, forward and backward, and o and do in
// bfloat16 are the rounded ones and give the same gradients; levels that do not round
// them and heads that are not whole panels refuse them.
func TestAttentionOfRoundedHeads(t *testing.T) {
	attrs := []device.Attention{
		{Heads: 3, KVHeads: 1, HeadDim: 32, Scale: 0.2}, {Heads: 4, KVHeads: 2, HeadDim: 64, Scale: -0.1},
		{Heads: 2, KVHeads: 2, HeadDim: 96, Scale: 0.1}, {Heads: 4, KVHeads: 1, HeadDim: 128, Scale: 0.1},
		{Heads: 2, KVHeads: 1, HeadDim: 40, Scale: 0.2},
	}
	for _, level := range []feature.Level{feature.AMX, feature.AVX512BF16, feature.AVX512, feature.Generic} {
		if !feature.Has(level) {
			continue
		}
		for _, attr := range attrs {
			t.Run(fmt.Sprintf("%s/%d", level, attr.HeadDim), func(t *testing.T) {
				b := start(t, Options{Threads: 2, Activations: device.F32, Level: &level, Precision: device.BF16})
				h := headsCase{longAttention{t, b, attr}, draw(attr, []int{331, 5, 64, 1}, []bool{false, true, false, true})}
				want, err := h.all(0)
				if err != nil {
					t.Fatal(err)
				}
				exact, rounded := want[0], h.widened(h.round(h.view(want[0], attr.Heads*attr.HeadDim)))
				for which := 1; which < 32; which++ {
					got, err := h.all(which)
					if refuses := b.Rounded() != device.BF16 || attr.HeadDim%32 != 0; refuses || err != nil {
						if !refuses || err == nil {
							t.Fatalf("q, k, v, o, do by bits of %05b in bfloat16: error %v, want one: %v", which, err, refuses)
						}
						continue
					}
					if want[0] = exact; which>>3&1 == 1 {
						want[0] = rounded
					}
					for i, name := range [...]string{"o", "lse", "dq", "dk", "dv"} {
						if !slices.Equal(got[i], want[i]) {
							t.Errorf("q, k, v, o, do by bits of %05b in bfloat16: %s has other bits", which, name)
						}
					}
				}
			})
		}
	}
}

type headsCase struct {
	longAttention
	in longInput
}

// all is o, lse, dq, dk and dv with those of q, k, v, o and do in bfloat16 that are
// bits of which.
func (h headsCase) all(which int) ([][]float32, error) {
	q, kv := h.attr.Heads*h.attr.HeadDim, h.attr.KVHeads*h.attr.HeadDim
	n := len(h.in.q) / q
	masks := []device.View{h.ints(h.in.masks[0]), h.ints(h.in.masks[1]), h.ints(h.in.masks[2])}
	var in []device.View
	for i, x := range [][]float32{h.in.q, h.in.k, h.in.v} {
		v := h.view(x, len(x)/n)
		if which>>i&1 == 1 {
			v = h.round(v)
		}
		in = append(in, v)
	}
	typ := device.F32
	if which>>3&1 == 1 {
		typ = device.BF16
	}
	out := []device.View{h.upload(typ, n, q), h.upload(device.F32, n, h.attr.Heads)}
	grads := []device.View{h.upload(device.F32, n, q), h.upload(device.F32, n, kv), h.upload(device.F32, n, kv)}
	if err := h.try("attention", out, append(slices.Clone(in), masks...)); err != nil {
		return nil, err
	}
	do := h.view(h.in.do, q)
	if which>>4 == 1 {
		do = h.round(do)
	}
	if err := h.try("attention_grad", grads, append(append(in, out[0], out[1], do), masks...)); err != nil {
		return nil, err
	}
	var values [][]float32
	for _, v := range append(out, grads...) {
		values = append(values, h.widened(v))
	}
	return values, nil
}

// widened is the elements in float32.
func (h headsCase) widened(v device.View) []float32 {
	if v.Type != device.BF16 {
		return device.Slice[float32](v)
	}
	x := make([]float32, v.Len())
	for i, b := range device.Slice[uint16](v) {
		x[i] = math.Float32frombits(uint32(b) << 16)
	}
	return x
}

func (h headsCase) try(kernel string, out, in []device.View) error {
	k, err := h.backend.Bind(kernel, h.attr)
	if err != nil {
		h.Fatal(err)
	}
	return k(&device.Call{Out: out, In: in})
}

// round is x in bfloat16, on levels that do not round of no matter what.
func (h headsCase) round(x device.View) device.View {
	y := h.upload(device.BF16, x.Rows, x.Cols)
	if h.backend.Rounded() == device.BF16 {
		h.backend.fast.set.ToBF16(device.Slice[uint16](y), device.Slice[float32](x))
	}
	return y
}
