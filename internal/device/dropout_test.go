package device_test

import (
	"math"
	"testing"

	"align/internal/device"
)

// The share that is kept, scaled, is the whole: a mean over draws is the input.
func TestDropoutIsUnbiased(t *testing.T) {
	for _, c := range []struct {
		p     float64
		limit uint32
	}{{0, 0}, {1. / 65536, 1}, {0.05, 3277}, {0.1, 6554}, {0.25, 16384}, {0.5, 32768}, {0.999, 65470}, {65535. / 65536, 65535}} {
		d := device.Dropout{P: c.p}
		if err := d.Check(); err != nil {
			t.Error(err)
		}
		if d.Limit() != c.limit {
			t.Errorf("p %v: limit %d, want %d", c.p, d.Limit(), c.limit)
		}
		if mean := d.Scale() * float64(65536-c.limit) / 65536; math.Abs(mean-1) > 1e-15 {
			t.Errorf("p %v: the mean is %v of the input", c.p, mean)
		}
	}
}

func TestDropoutCheck(t *testing.T) {
	for _, p := range []float64{-0.1, 1e-6, 1, 0.999999, math.NaN(), math.Inf(1)} {
		if err := (device.Dropout{P: p}).Check(); err == nil {
			t.Errorf("p %v is taken", p)
		}
	}
}
