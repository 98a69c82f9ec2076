package bench

import (
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
)

// A card's rates are taken from its kernels, and stay: the CPU's stand for them.
func TestCardRates(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r := &rates{}
	if err := r.measureCard(b, device.F32, probe{side: 64, elements: 1 << 12}); err != nil {
		t.Fatal(err)
	}
	flops, read := r.flops, r.read
	r.measureArithmetic()
	r.measureRead()
	if !(flops > 0 && read > 0) || r.flops != flops || r.read != read {
		t.Errorf("rates %g and %g, then %g and %g: want them above 0 and kept", flops, read, r.flops, r.read)
	}
}
