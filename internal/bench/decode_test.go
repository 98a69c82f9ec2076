package bench

import (
	"testing"

	"align/internal/device"
	"align/model"
)

// A step reads two bytes of each element of a cache whose products are of
// bfloat16, whatever the type of its view.
func TestPositionBytes(t *testing.T) {
	c := model.Config{NumLayers: 3, NumKVHeads: 2, HeadDim: 32}
	const elements = 3 * 2 * 2 * 32
	for _, test := range []struct {
		act, rounded device.Type
		want         float64
	}{
		{device.F32, device.F32, 4 * elements},
		{device.F32, 0, 4 * elements},
		{device.F32, device.BF16, 2 * elements},
		{device.BF16, 0, 2 * elements},
		{device.F64, device.F64, 8 * elements},
	} {
		if got := positionBytes(c, test.act, test.rounded); got != test.want {
			t.Errorf("%s rounded to %s: %g bytes, want %g", test.act, test.rounded, got, test.want)
		}
	}
}
