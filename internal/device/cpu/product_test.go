package cpu

import (
	"fmt"
	"math"
	"testing"

	"align/internal/device"

	"pgregory.net/rapid"
)

// TestHalfToFloat goes through every binary16.
func TestHalfToFloat(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		sign := math.Copysign(1, float64(int16(h)))
		exponent, mantissa := int(h>>10&31), float64(h&1023)
		want := sign * math.Ldexp(1024+mantissa, exponent-25)
		switch {
		case exponent == 0:
			want = sign * math.Ldexp(mantissa, -24)
		case exponent == 31 && mantissa == 0:
			want = math.Inf(int(sign))
		case exponent == 31:
			want = math.NaN()
		}
		got := float64(halfToFloat(h))
		if math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("half %#04x is %v, want %v", h, got, want)
		}
	}
}

// TestTileIsOneSum: every element of a tile of any size has the bits of the
// plain ascending sum.
func TestTileIsOneSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, n, k := rapid.IntRange(1, 20).Draw(t, "m"), rapid.IntRange(1, 20).Draw(t, "n"), rapid.IntRange(0, 40).Draw(t, "k")
		values := rapid.SliceOfN(rapid.Float32Range(-4, 4), (m+n)*k, (m+n)*k).Draw(t, "values")
		a, b, c := values[:m*k], values[m*k:], make([]float32, m*n)
		tile(c, n, a, k, m, b, k, n, k, false)
		for i := range m {
			for j := range n {
				var want float32
				for l := range k {
					want += a[i*k+l] * b[j*k+l]
				}
				if c[i*n+j] != want {
					t.Fatalf("element (%d,%d) is %v, want %v", i, j, c[i*n+j], want)
				}
			}
		}
	})
}

func BenchmarkLinear(b *testing.B) {
	for _, weight := range []device.Type{device.F32, device.BF16} {
		for _, threads := range []int{1, 2} {
			for _, s := range [][3]int{{512, 2048, 2048}, {64, 2048, 2048}, {1, 2048, 2048}} {
				b.Run(fmt.Sprintf("weight=%s/threads=%d/m=%d/n=%d/k=%d", weight, threads, s[0], s[1], s[2]), func(b *testing.B) {
					benchmarkProduct(b, "linear", threads, weight, s[0], s[1], s[2])
				})
			}
		}
	}
}

func BenchmarkLinearDX(b *testing.B) {
	for _, weight := range []device.Type{device.F32, device.BF16} {
		b.Run(fmt.Sprintf("weight=%s/threads=1/m=512/n=2048/k=2048", weight), func(b *testing.B) {
			benchmarkProduct(b, "linear_dx", 1, weight, 512, 2048, 2048)
		})
	}
}

func benchmarkProduct(b *testing.B, kernel string, threads int, weight device.Type, m, n, k int) {
	backend := open(b, threads, device.F32)
	view := func(t device.Type, rows, cols int) device.View {
		v := device.View{Rows: rows, Cols: cols, Type: t}
		mem, err := backend.Alloc(v.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		v.Addr = mem.Addr
		return v
	}
	run, err := backend.Bind(kernel, nil)
	if err != nil {
		b.Fatal(err)
	}
	c := &device.Call{Out: []device.View{view(device.F32, m, n)}, In: []device.View{view(device.F32, m, k), view(weight, n, k)}}
	for b.Loop() {
		if err := run(c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
