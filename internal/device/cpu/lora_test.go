package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// One pass over dy gives the bits of its two products, at every level and with any
// number of threads, writes nothing else, and leaves dy packed as they do.
func TestLoRADUHasTheBitsOfItsProducts(t *testing.T) {
	for _, threads := range []int{1, 3} {
		for level := feature.AVX2; level <= feature.Detect(); level++ {
			t.Run(fmt.Sprintf("%s/threads=%d", level, threads), func(t *testing.T) {
				c := loraCase{t, start(t, Options{Threads: threads, Activations: device.F32, Level: &level, Precision: device.BF16})}
				for i, tokens := range []int{1, 31, 32, 33, 64, 65, 130, 333, 1030} {
					for _, n := range []int{5, 64, 96, 320, 2048} {
						c.checkDU(tokens, n, []int{16, 4, 32}[i*n%5%3], n < 2048)
						c.checkDU(tokens, n, 16, n == 2048)
					}
				}
			})
		}
	}
}

type loraCase struct {
	t *testing.T
	b *Backend
}

func (l loraCase) checkDU(tokens, n, rank int, accumulate bool) {
	l.t.Helper()
	dy, up, u := l.matrix(tokens, n), l.matrix(n, rank), l.matrix(tokens, rank)
	wantB, wantU, gotB, gotU, again := l.matrix(n, rank), l.matrix(tokens, rank), l.matrix(n, rank), l.matrix(tokens, rank), l.matrix(tokens, rank)
	copy(device.Slice[float32](gotB), device.Slice[float32](wantB))
	down := device.MatMul{Alpha: 0.75}
	l.run("matmul_nn", down, &device.Call{Out: []device.View{wantU}, In: []device.View{dy, up}})
	l.run("matmul_tn", device.MatMul{Alpha: 1}, &device.Call{Out: []device.View{wantB}, In: []device.View{dy, u}, Accumulate: accumulate})
	l.b.fast.kept.forget()
	l.run("lora_du", device.LoRA{Scale: 0.75}, &device.Call{Out: []device.View{gotB, gotU}, In: []device.View{dy, up, u}, Accumulate: accumulate})
	l.run("matmul_nn", down, &device.Call{Out: []device.View{again}, In: []device.View{dy, up}})
	for what, pair := range map[string][2]device.View{"dB": {gotB, wantB}, "du": {gotU, wantU}, "du once more": {again, wantU}} {
		if !slices.Equal(guarded(pair[0]), guarded(pair[1])) {
			l.t.Errorf("T%d,N%d,R%d: %s differs", tokens, n, rank, what)
		}
	}
}

// guards are the elements on both sides of a matrix, all of them NaN.
const guards = 64

func (l loraCase) matrix(rows, cols int) device.View {
	v := zeros(l.t, l.b, device.F32, rows*cols+2*guards, 1)
	for i, s := 0, device.Slice[float32](v); i < len(s); i++ {
		s[i] = float32((i*i*31+i*cols)%1009)/1009 - 0.5
		if i < guards || i >= len(s)-guards {
			s[i] = float32(math.NaN())
		}
	}
	v.Addr += 4 * guards
	v.Rows, v.Cols = rows, cols
	return v
}

// guarded is the bits of a matrix and its guards.
func guarded(v device.View) []uint32 {
	v.Addr -= 4 * guards
	v.Rows, v.Cols = v.Len()+2*guards, 1
	return device.Slice[uint32](v)
}

func (l loraCase) run(kernel string, attr any, c *device.Call) {
	l.t.Helper()
	k, err := l.b.Bind(kernel, attr)
	if err == nil {
		err = k(c)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// A mask gives the bits of an input that was dropped by it: u and y of a layer, and the
// gradient of A.
func TestLoRAUnderAMaskHasTheBitsOfADroppedInput(t *testing.T) {
	for _, threads := range []int{1, 3} {
		for level := feature.AVX2; level <= feature.Detect(); level++ {
			t.Run(fmt.Sprintf("%s/threads=%d", level, threads), func(t *testing.T) {
				c := loraCase{t, start(t, Options{Threads: threads, Activations: device.F32, Level: &level, Precision: device.BF16})}
				for i, tokens := range []int{1, 6, 12, 31, 64, 130, 333, 1030} {
					for _, k := range []int{16, 45, 96, 320, 1056, 2080} {
						c.checkMasked(tokens, k, []int{16, 4, 32}[i*k%3])
						c.checkMasked(tokens, k, 16)
					}
				}
			})
		}
	}
}

func (l loraCase) checkMasked(tokens, k, rank int) {
	l.t.Helper()
	const n = 40
	x, dropped, w, a, up, du := l.matrix(tokens, k), l.matrix(tokens, k), l.matrix(n, k), l.matrix(rank, k), l.matrix(n, rank), l.matrix(tokens, rank)
	words := kern.MaskWords(k)
	mask := zeros(l.t, l.b, device.I32, tokens, words)
	bits := device.Slice[uint32](mask)
	for i := range bits {
		bits[i] = uint32(i+1) * 0x9E3779B9
	}
	for i := range tokens {
		kern.KeepRow(device.Slice[float32](dropped)[i*k:][:k], device.Slice[float32](x)[i*k:][:k], bits[i*words:][:words])
	}
	results := func() []device.View {
		return []device.View{l.matrix(tokens, n), l.matrix(tokens, rank), l.matrix(rank, k)}
	}
	got, want := results(), results()
	scale, alpha := device.LoRA{Scale: 1.75}, device.MatMul{Alpha: 1.25}
	l.run("lora_linear", scale, &device.Call{Out: want[:2], In: []device.View{x, dropped, w, a, up}})
	l.run("matmul_tn", alpha, &device.Call{Out: want[2:], In: []device.View{du, dropped}, Accumulate: true})
	l.b.fast.kept.forget()
	l.run("lora_linear", scale, &device.Call{Out: got[:2], In: []device.View{x, mask, w, a, up}})
	l.run("matmul_tn", alpha, &device.Call{Out: got[2:], In: []device.View{du, x, mask}, Accumulate: true})
	for i, what := range []string{"y", "u", "dA"} {
		if !slices.Equal(guarded(got[i]), guarded(want[i])) {
			l.t.Errorf("T%d,K%d,R%d: %s differs", tokens, k, rank, what)
		}
	}
}
