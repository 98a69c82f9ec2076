package align

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cpu/feature"
	"align/model"
)

// Compute says where and how a model runs: the settings --device, --precision
// and --threads of every command that runs one.
type Compute struct {
	Device, Precision string
	Threads           int
}

// bf16Parameters is the size from which a model stored as bfloat16 is computed
// in it: a smaller one is fast enough, and float32 is exact.
const bf16Parameters = 100_000_000

// For settles an automatic precision for a model.
func (c Compute) For(m model.Config) Compute {
	if c.Precision == "" || c.Precision == "auto" {
		c.Precision = "f32"
		if m.DType == "bfloat16" && m.Parameters() >= bf16Parameters && feature.Detect() >= feature.AVX512BF16 {
			c.Precision = "bf16"
		}
	}
	return c
}

// open opens the device and tells the choice.
func (c Compute) open(env Environment) (*cpu.Backend, device.Type, error) {
	switch c.Device {
	case "", "auto", "cpu":
	default:
		return nil, 0, fmt.Errorf("device %q: only cpu is available in this build", c.Device)
	}
	o := cpu.Options{Threads: c.Threads, Activations: device.F32}
	switch c.Precision {
	case "", "auto", "f32":
	case "bf16":
		o.Precision = device.BF16
	default:
		return nil, 0, fmt.Errorf("precision %q: want auto, f32 or bf16", c.Precision)
	}
	b, err := cpu.New(o)
	if err != nil {
		return nil, 0, err
	}
	env.note(fmt.Sprintf("device: %s, %s kernels", b.Name(), b.Numerics()))
	return b, device.F32, nil
}
