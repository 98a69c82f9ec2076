package compute

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/device/cuda"
	"align/internal/device/cuda/driver"
	"align/internal/host"
)

// Backend is a device that a run has to itself until Close.
type Backend interface {
	device.Backend
	// Numerics names what decides the bits of results.
	Numerics() string
	Close()
}

// Open opens the device and gives the type of its activations, too. note gets a line
// for the choice; threads is told on how many threads of the processor the run
// computes, where that is not all, before the first of them is started. Both may be nil.
func (s Settings) Open(note func(string), threads func(n int)) (Backend, device.Type, error) {
	return opening{Settings: s, tell: note, threads: threads}.open()
}

// OpenPlanned is Open for a run that is planned and not run: a card with a limit of
// memory need not be there, and then tells sizes alone.
func (s Settings) OpenPlanned(note func(string), threads func(n int)) (Backend, device.Type, error) {
	return opening{Settings: s, tell: note, threads: threads, planned: true}.open()
}

// opening is a device about to be opened.
type opening struct {
	Settings
	tell    func(string)
	threads func(n int)
	planned bool
}

func (o opening) note(line string) {
	if o.tell != nil {
		o.tell(line)
	}
}

func (o opening) open() (Backend, device.Type, error) {
	if err := o.Validate(); err != nil {
		return nil, 0, err
	}
	b, err := o.start()
	if err != nil {
		return nil, 0, err
	}
	o.note(fmt.Sprintf("device: %s, %s kernels", b.Name(), b.Numerics()))
	if o.OnCard() {
		return b, device.BF16, nil
	}
	return b, device.F32, nil
}

func (o opening) start() (Backend, error) {
	limit, err := host.ParseSize(o.Memory)
	switch {
	case err != nil:
		return nil, err
	case o.OnCard():
		return o.startCard(limit)
	case limit > 0:
		return nil, fmt.Errorf("memory %q: only a card's memory can be limited, and the device is the CPU", o.Memory)
	}
	options := cpu.Options{Threads: o.countThreads(), Activations: device.F32}
	if o.Precision == "bf16" {
		options.Precision = device.BF16
	}
	// A nil *cpu.Backend in the interface would not be nil.
	b, err := cpu.New(options)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// countThreads is the threads to compute on, told where they are not all.
func (o opening) countThreads() int {
	n, all := o.NumThreads(), runtime.GOMAXPROCS(0)
	if o.Threads == 0 && n < all {
		o.note(fmt.Sprintf("threads: %d, one for each core (there are %d hardware threads)", n, all))
	}
	if o.threads != nil && (o.Threads > 0 || n < all) {
		o.threads(n)
	}
	return n
}

func (o opening) startCard(limit int64) (Backend, error) {
	if o.Precision == "f32" {
		return nil, fmt.Errorf("precision f32: products on %s are of bfloat16 with float32 sums; use bf16 or auto", o.Device)
	}
	ordinal := 0
	if _, text, named := strings.Cut(o.Device, ":"); named {
		var err error
		if ordinal, err = strconv.Atoi(text); err != nil || ordinal < 0 {
			return nil, fmt.Errorf("device %q: want cuda:0, cuda:1 and so on", o.Device)
		}
	}
	b, err := cuda.Open(ordinal, limit)
	if err != nil && o.planned && limit > 0 {
		o.note(fmt.Sprintf("card: one with %s to use, which is not here (%v): sizes alone are told, and what its driver keeps for itself is not known", host.FormatSize(limit), err))
		return cuda.Planner(driver.Info{Ordinal: ordinal, Name: "planned", Major: 8, Units: 128, Memory: uint64(limit)}, limit), nil
	}
	if err != nil {
		return nil, err
	}
	o.note(fmt.Sprintf("card: %s, %s (its kernels have been tested in a simulator only, and prove themselves here before they are used: see docs/gpu.md)", b.Info().Name, host.FormatSize(int64(b.Info().Memory))))
	if err := o.prove(b); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Available is the memory that a run's device has left. [host.ErrUnknown] where
// nothing tells.
func Available(b Backend) (int64, error) {
	if card, is := b.(interface{ Available() (int64, error) }); is {
		return card.Available()
	}
	m, err := host.ReadMemory()
	if err != nil && !errors.Is(err, host.ErrUnknown) {
		return 0, err
	}
	return m.Available, err
}
