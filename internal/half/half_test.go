package half

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Every 16-bit pattern survives the way to float32 and back; a NaN may become
// quiet and stays a NaN.
func TestHalfRoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		if got := ToF16(FromF16(h)); got != h && !(math.IsNaN(float64(FromF16(h))) && got == h|0x200) {
			t.Fatalf("f16 %#04x: got %#04x", h, got)
		}
		if got := ToBF16(FromBF16(h)); got != h && !(math.IsNaN(float64(FromBF16(h))) && got == h|0x40) {
			t.Fatalf("bf16 %#04x: got %#04x", h, got)
		}
	}
}

func TestHalfValues(t *testing.T) {
	tests := []struct {
		x         float32
		f16, bf16 uint16
	}{
		{0, 0, 0},
		{float32(math.Copysign(0, -1)), 0x8000, 0x8000},
		{1, 0x3c00, 0x3f80},
		{-2.5, 0xc100, 0xc020},
		{65504, 0x7bff, 0x4780},
		{65519.996, 0x7bff, 0x4780},
		{65520, 0x7c00, 0x4780}, // halfway to 65536: to even, beyond the range
		{1e10, 0x7c00, 0x5015},
		{1 + 1.0/2048, 0x3c00, 0x3f80}, // a tie goes to the even neighbour
		{1 + 3.0/2048, 0x3c02, 0x3f80},
		{1 + 1.0/256, 0x3c04, 0x3f80},
		{1 + 3.0/256, 0x3c0c, 0x3f82},
		{0x1p-24, 1, 0x3380},
		{0x1p-25, 0, 0x3300}, // half the smallest subnormal: to even
		{0x1.8p-25, 1, 0x3340},
		{0x1.ff8p-15, 0x03ff, 0x3880}, // the largest subnormal
		{math.MaxFloat32, 0x7c00, 0x7f80},
		{float32(math.Inf(-1)), 0xfc00, 0xff80},
	}
	for _, tt := range tests {
		if got := ToF16(tt.x); got != tt.f16 {
			t.Errorf("f16 %g: got %#04x, want %#04x", tt.x, got, tt.f16)
		}
		if got := ToBF16(tt.x); got != tt.bf16 {
			t.Errorf("bf16 %g: got %#04x, want %#04x", tt.x, got, tt.bf16)
		}
	}
	// A NaN whose upper half alone is an infinity must not become one.
	if got := ToBF16(math.Float32frombits(0x7f800001)); got != 0x7fc0 {
		t.Errorf("bf16 NaN: got %#04x, want 0x7fc0", got)
	}
}

// Rounding picks a nearest neighbour among all finite halves.
func TestHalfNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float32Range(-65000, 65000).Draw(t, "x")
		for name, pair := range map[string]struct {
			to   func(float32) uint16
			from func(uint16) float32
		}{"f16": {ToF16, FromF16}, "bf16": {ToBF16, FromBF16}} {
			h := pair.to(x)
			got := math.Abs(float64(pair.from(h)) - float64(x))
			for _, near := range []uint16{h - 1, h + 1} {
				if other := math.Abs(float64(pair.from(near)) - float64(x)); other < got {
					t.Fatalf("%s %g: %#04x is nearer than %#04x", name, x, near, h)
				}
			}
		}
	})
}
