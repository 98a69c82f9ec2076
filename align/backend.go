package align

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/cpu"
)

// Compute says where and how a model runs: the settings --device, --precision
// and --threads of every command that runs one.
type Compute struct {
	Device, Precision string
	Threads           int
}

// open opens the device and tells the choice.
func (c Compute) open(env Environment) (*cpu.Backend, device.Type, error) {
	switch c.Device {
	case "", "auto", "cpu":
	default:
		return nil, 0, fmt.Errorf("device %q: only cpu is available in this build", c.Device)
	}
	switch c.Precision {
	case "", "auto", "f32":
	default:
		return nil, 0, fmt.Errorf("precision %q: only f32 is available on this device", c.Precision)
	}
	b, err := cpu.New(cpu.Options{Threads: c.Threads, Activations: device.F32})
	if err != nil {
		return nil, 0, err
	}
	env.note("device: " + b.Name() + ", float32 arithmetic")
	return b, device.F32, nil
}
