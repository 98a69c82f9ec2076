package cpu

import (
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// Numerics tell apart what has other bits: the level, the precision, and where what SwiGLU
// reads is rounded.
func TestNumerics(t *testing.T) {
	for _, c := range []struct {
		level     feature.Level
		precision device.Type
		want      string
	}{
		{feature.Generic, device.BF16, "generic-f32"}, {feature.AVX2, device.F32, "avx2-f32"}, {feature.AVX2, device.BF16, "avx2-bf16"},
		{feature.AVX512BF16, device.F32, "avx512bf16-f32"}, {feature.AVX512BF16, device.BF16, "avx512bf16-bf16-gates16"}, {feature.AMX, device.BF16, "amx-bf16-gates"},
	} {
		if !feature.Has(c.level) {
			continue
		}
		b := start(t, Options{Threads: 1, Activations: device.F32, Level: &c.level, Precision: c.precision})
		if got := b.Numerics(); got != c.want {
			t.Errorf("numerics %q, want %q", got, c.want)
		}
	}
}
