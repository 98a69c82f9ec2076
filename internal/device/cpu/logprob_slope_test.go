package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// The slope of a target that is nearly certain is as exact as any other: its
// weight 1-p is not what is left of a sum of rounded ones.
func TestSlopeOfACertainTarget(t *testing.T) {
	const rows, vocab, width = 3, 1100, 64
	for _, level := range []feature.Level{feature.AMX, feature.AVX512BF16, feature.AVX512, feature.AVX2, feature.NEON, feature.Generic} {
		if !feature.Has(level) {
			continue
		}
		t.Run(level.String(), func(t *testing.T) {
			b := start(t, Options{Threads: 2, Activations: device.F32, Level: &level, Precision: device.BF16})
			h, w, ids := zeros(t, b, device.F32, rows, width), zeros(t, b, device.F32, vocab, width), zeros(t, b, device.I32, rows, 1)
			r, hs, ws := rand.New(rand.NewPCG(1, 2)), device.Slice[float32](h), device.Slice[float32](w)
			for i := range ws { // exact in bfloat16
				ws[i] = float32(r.IntN(17)-8) / 16
			}
			for i := range rows {
				target := i*500 + 7
				device.Slice[int32](ids)[i] = int32(target)
				for j := range width {
					hs[i*width+j] = 2.5 * ws[target*width+j]
				}
			}
			vector := func() device.View { return zeros(t, b, device.F32, rows, 1) }
			lp, slope := vector(), zeros(t, b, device.F32, rows, width)
			run, err := b.Bind("logprob", device.LogProb{})
			if err != nil {
				t.Fatal(err)
			}
			if err := run(&device.Call{Out: []device.View{lp, vector(), vector(), vector(), slope}, In: []device.View{h, w, ids}}); err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				if p := math.Exp(float64(device.Slice[float32](lp)[i])); p < 0.99 {
					t.Fatalf("row %d: the target has %.4f: want a certain one", i, p)
				}
				got, want := device.Slice[float32](slope)[i*width:][:width], slopeOf(hs[i*width:][:width], ws, i*500+7)
				if e := relative(got, want); e > 1.0/64 {
					t.Errorf("row %d: the slope is off by %.3g of its length", i, e)
				}
			}
		})
	}
}

// slopeOf is d lp/d h in float64.
func slopeOf(h, w []float32, target int) []float64 {
	logits, top := make([]float64, len(w)/len(h)), math.Inf(-1)
	for v := range logits {
		for j, x := range h {
			logits[v] += float64(x) * float64(w[v*len(h)+j])
		}
		top = max(top, logits[v])
	}
	sum, slope := 0.0, make([]float64, len(h))
	for v, z := range logits {
		logits[v] = math.Exp(z - top)
		sum += logits[v]
	}
	for v, e := range logits {
		for j := range h {
			slope[j] += e / sum * float64(w[target*len(h)+j]-w[v*len(h)+j])
		}
	}
	return slope
}

// relative is the length of the difference over that of want.
func relative(got []float32, want []float64) float64 {
	difference, length := 0.0, 0.0
	for i, x := range want {
		difference += (float64(got[i]) - x) * (float64(got[i]) - x)
		length += x * x
	}
	return math.Sqrt(difference / length)
}
