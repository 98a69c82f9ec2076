package kern

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"align/internal/half"
)

// This file is a part of package kern's tests where AMX is emulated
// (scripts/emulate-amx.sh): it proves the emulation.

// shape is a product of tiles: c of m rows of n float32, sums of k pairs.
type shape struct{ m, n, k int }

func (s shape) config() tileConfig {
	c, a, b := uint16(4*s.n), uint16(4*s.k), uint16(4*s.n)
	m, k := byte(s.m), byte(s.k)
	return tileConfig{palette: 1, rowBytes: [16]uint16{c, c, 0, 0, a, 0, b, b}, rows: [16]byte{m, m, 0, 0, m, 0, k, k}}
}

// product is amxLow for one step, whose c has 128 bytes from row to row.
func (c *tileConfig) product(a, b []uint16, sums []float32) {
	amxLow(unsafe.Pointer(c), 1, pointer(a), 64*16, pointer(b), 0, pointer(sums), 128, 1, 1, pointer(a))
}

func TestEmulatedProduct(t *testing.T) {
	for _, s := range []shape{{16, 16, 16}, {1, 16, 16}, {16, 1, 16}, {16, 16, 1}, {7, 5, 3}, {1, 1, 1}, {15, 9, 16}} {
		for _, exponent := range []int{0, -63} { // products of 1, and at the edge of float32
			t.Run(fmt.Sprint(s, exponent), func(t *testing.T) { s.compare(t, exponent) })
		}
	}
}

func (s shape) compare(t *testing.T, exponent int) {
	r := newRand(s.m + s.n + s.k)
	a, b := make([]uint16, 16*32), make([]uint16, 16*64)
	for _, x := range [][]uint16{a, b} {
		for i := range x {
			x[i] = half.ToBF16(float32(r.NormFloat64() * math.Ldexp(1, exponent+r.IntN(24)-12)))
			if r.IntN(8) == 0 {
				x[i] &= 0x807f // zero, or too small for bfloat16's exponents
			}
		}
	}
	c := newGuarded(make([]float32, 16*32))
	for i := range c.slice() {
		c.slice()[i] = float32(math.Ldexp(r.NormFloat64(), 2*exponent))
	}
	want := slices.Clone(c.slice())
	for col := range 2 {
		s.sum(a, b[32*col:], want[16*col:])
	}
	config := s.config()
	config.product(a, b, c.slice())
	c.check(t, "c")
	for i, x := range c.slice() {
		if math.Float32bits(x) != math.Float32bits(want[i]) {
			t.Fatalf("c[%d,%d] = %g (%08x), want %g", i/32, i%32, x, math.Float32bits(x), want[i])
		}
	}
}

// sum is the operation of TDPBF16PS in Intel's manual, volume 2.
func (s shape) sum(a, b []uint16, c []float32) {
	for m := range s.m {
		for n := range s.n {
			var sums [2]float32
			for k := range s.k {
				for i := range sums {
					sums[i] = fused(half.FromBF16(a[32*m+2*k+i]), half.FromBF16(b[64*k+2*n+i]), sums[i])
				}
			}
			c[32*m+n] = fused(1, c[32*m+n], fused(1, sums[0], sums[1]))
		}
	}
}

// fused is a*b + c with one rounding, where small numbers are zero. The sum in
// float64 is rounded to odd, so that the second rounding sees what the first cut off.
func fused(a, b, c float32) float32 {
	product, addend := float64(flush(a))*float64(flush(b)), float64(flush(c))
	sum := product + addend
	part := sum - product
	cut := product - (sum - part) + (addend - part)
	if cut != 0 && math.Float64bits(sum)&1 == 0 {
		sum = math.Nextafter(sum, math.Copysign(math.Inf(1), cut))
	}
	return flush(float32(sum))
}

func flush(x float32) float32 {
	const smallest = 0x1p-126
	if -smallest < x && x < smallest {
		return float32(math.Copysign(0, float64(x)))
	}
	return x
}

// wrong is configurations and shapes that fault.
var wrong = map[string]func(c *tileConfig){
	"palette":         func(c *tileConfig) { c.palette = 2 },
	"no palette":      func(c *tileConfig) { c.palette = 0 },
	"rows":            func(c *tileConfig) { c.rows[3] = 17 },
	"bytes":           func(c *tileConfig) { c.rowBytes[3] = 65 },
	"many bytes":      func(c *tileConfig) { c.rowBytes[0] = 256 },
	"a ninth tile":    func(c *tileConfig) { c.rows[8], c.rowBytes[8] = 1, 4 },
	"rows alone":      func(c *tileConfig) { c.rows[2] = 1 },
	"bytes alone":     func(c *tileConfig) { c.rowBytes[2] = 4 },
	"no tile":         func(c *tileConfig) { c.rows[6], c.rowBytes[6] = 0, 0 },
	"rows of a and c": func(c *tileConfig) { c.rows[4]-- },
	"sums":            func(c *tileConfig) { c.rowBytes[4] -= 4 },
	"columns":         func(c *tileConfig) { c.rowBytes[6] -= 4 },
	"halves":          func(c *tileConfig) { c.rowBytes[0], c.rowBytes[6] = 62, 62 },
}

// TestEmulatedFaults has a process of its own for each, which ends.
func TestEmulatedFaults(t *testing.T) {
	const variable = "KERN_TEST_FAULT"
	if name := os.Getenv(variable); name != "" {
		c := shape{16, 16, 16}.config()
		wrong[name](&c)
		c.product(make([]uint16, 16*32), make([]uint16, 16*64), make([]float32, 16*32))
		return
	}
	for name := range wrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.Command(os.Args[0], "-test.run", "^TestEmulatedFaults$")
			run.Env = append(os.Environ(), variable+"="+name)
			out, err := run.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "SIGILL") {
				t.Errorf("no fault: %v, %s", err, out)
			}
		})
	}
}
