package align

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cpu/feature"
	"align/internal/device/cuda"
	"align/internal/device/cuda/driver"
	"align/internal/host"
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

// open opens the device and tells the choice.
func (c Compute) open(env Environment) (backend, device.Type, error) {
	switch c.Precision {
	case "", "auto", "f32", "bf16":
	default:
		return nil, 0, fmt.Errorf("precision %q: want auto, f32 or bf16", c.Precision)
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
	limit, err := parseMemory(c.Memory)
	switch {
	case err != nil:
		return nil, err
	case c.OnCard():
		return c.startCard(limit, env)
	case c.Device != "" && c.Device != "auto" && c.Device != "cpu":
		return nil, fmt.Errorf("device %q: want auto, cpu, cuda or cuda:N", c.Device)
	case limit > 0:
		return nil, fmt.Errorf("memory %q: only a card's memory can be limited, and the device is the CPU", c.Memory)
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

// memoryUnits are those of a size, the longest names first.
var memoryUnits = []struct {
	name  string
	bytes float64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"GB", 1e9}, {"MB", 1e6}}

// parseMemory is the bytes of "24GiB"; "" and "auto" are 0, no limit.
func parseMemory(text string) (int64, error) {
	if text == "" || text == "auto" {
		return 0, nil
	}
	for _, u := range memoryUnits {
		number, is := strings.CutSuffix(text, u.name)
		if !is {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && n > 0 && n*u.bytes < math.MaxInt64/2 {
			return int64(n * u.bytes), nil
		}
	}
	return 0, fmt.Errorf("memory %q: want a size as 24GiB, 24GB, 800MiB or 800MB", text)
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
