package align

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cpu/feature"
	"align/internal/device/cuda"
	"align/internal/device/cuda/driver"
	"align/internal/host"
	"align/internal/train"
	"align/model"
)

// Compute says where and how a model runs: the settings --device, --memory,
// --precision and --threads of every command that runs one.
type Compute struct {
	Device, Precision string
	// Memory is the most that is used of a card, as "24GiB"; "" is all.
	Memory  string
	Threads int
}

// backend is a device that a run has to itself until Close.
type backend interface {
	device.Backend
	// Numerics names what decides the bits of results.
	Numerics() string
	Close()
}

// bf16Parameters is the size from which a model stored as bfloat16 is computed
// in it: a smaller one is fast enough, and float32 is exact.
const bf16Parameters = 100_000_000

// For settles an automatic precision for a model.
func (c Compute) For(m model.Config) Compute {
	if c.Precision == "" || c.Precision == "auto" {
		c.Precision = "f32"
		if c.OnCard() || m.DType == "bfloat16" && m.Parameters() >= bf16Parameters && feature.Has(feature.AVX512BF16) {
			c.Precision = "bf16"
		}
	}
	return c
}

// OnCard says whether the device is an NVIDIA card.
func (c Compute) OnCard() bool {
	name, _, _ := strings.Cut(c.Device, ":")
	return name == cardDevice
}

const cardDevice = "cuda"

// Validate returns all faults that show without looking at the machine.
func (c Compute) Validate() error {
	_, wrongSize := host.ParseSize(c.Memory)
	errs := []error{host.CheckDevice(c.Device), wrongSize}
	if !slices.Contains([]string{"", "auto", "f32", "bf16"}, c.Precision) {
		errs = append(errs, fmt.Errorf("precision %q: want auto, f32 or bf16", c.Precision))
	}
	if c.Threads < 0 || c.Threads > train.MaxThreads {
		errs = append(errs, fmt.Errorf("threads must lie in [0, %d], got %d", train.MaxThreads, c.Threads))
	}
	return errors.Join(errs...)
}

// open opens the device and tells the choice.
func (c Compute) open(env Environment) (backend, device.Type, error) {
	if err := c.Validate(); err != nil {
		return nil, 0, err
	}
	b, err := c.start(env)
	if err != nil {
		return nil, 0, err
	}
	env.note(fmt.Sprintf("device: %s, %s kernels", b.Name(), b.Numerics()))
	if c.OnCard() {
		return b, device.BF16, nil
	}
	return b, device.F32, nil
}

func (c Compute) start(env Environment) (backend, error) {
	limit, err := host.ParseSize(c.Memory)
	switch {
	case err != nil:
		return nil, err
	case c.OnCard():
		return c.startCard(limit, env)
	case limit > 0:
		return nil, fmt.Errorf("memory %q: only a card's memory can be limited, and the device is the CPU", c.Memory)
	}
	if c.Threads > 0 && env.Threads != nil {
		env.Threads(c.Threads)
	}
	o := cpu.Options{Threads: c.Threads, Activations: device.F32}
	if c.Precision == "bf16" {
		o.Precision = device.BF16
	}
	// A nil *cpu.Backend in the interface would not be nil.
	b, err := cpu.New(o)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (c Compute) startCard(limit int64, env Environment) (backend, error) {
	if c.Precision == "f32" {
		return nil, fmt.Errorf("precision f32: products on %s are of bfloat16 with float32 sums; use bf16 or auto", c.Device)
	}
	ordinal := 0
	if _, text, named := strings.Cut(c.Device, ":"); named {
		var err error
		if ordinal, err = strconv.Atoi(text); err != nil || ordinal < 0 {
			return nil, fmt.Errorf("device %q: want cuda:0, cuda:1 and so on", c.Device)
		}
	}
	b, err := cuda.Open(ordinal, limit)
	if err != nil && env.planning && limit > 0 {
		env.note(fmt.Sprintf("card: one with %s to use, which is not here (%v): sizes alone are told, and what its driver keeps for itself is not known", gib(limit), err))
		return cuda.Planner(driver.Info{Ordinal: ordinal, Name: "planned", Major: 8, Units: 128, Memory: uint64(limit)}, limit), nil
	}
	if err != nil {
		return nil, err
	}
	env.note(fmt.Sprintf("card: %s, %s (its kernels have been tested in a simulator only, see docs/gpu.md)", b.Info().Name, gib(int64(b.Info().Memory))))
	return b, nil
}

// available is the memory that a run's device has left. [host.ErrUnknown] where
// nothing tells.
func available(b backend) (int64, error) {
	if card, is := b.(interface{ Available() (int64, error) }); is {
		return card.Available()
	}
	m, err := host.ReadMemory()
	if err != nil && !errors.Is(err, host.ErrUnknown) {
		return 0, err
	}
	return m.Available, err
}
