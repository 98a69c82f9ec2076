package bench

import (
	"testing"

	"align/internal/compute"
	"align/internal/device"
)

// A card holds frozen weights of float types as BF16, whatever the precision is
// called: floors and sizes go by that.
func TestWeightsOfACardAreBF16(t *testing.T) {
	for _, c := range []struct {
		precision string
		act, want device.Type
	}{
		{"auto", device.BF16, device.BF16}, {"auto", device.F32, device.F32}, {"bf16", device.F32, device.BF16},
	} {
		b := &bench{act: c.act, options: Options{Compute: compute.Settings{Precision: c.precision}}}
		if got := b.stored(); got != c.want {
			t.Errorf("precision %s, activations %s: weights are %s, want %s", c.precision, c.act, got, c.want)
		}
	}
}
