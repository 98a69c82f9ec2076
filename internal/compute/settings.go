// Package compute opens the device that a model runs on: [Settings] are what a
// command is asked for, --device, --memory, --precision and --threads, and Open
// makes a [Backend] of them, the CPU's or a card's. It reads no model.
package compute

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"align/internal/device/cpu/feature"
	"align/internal/host"
	"align/model"
)

// Settings say where and how a model runs: --device, --memory, --precision and
// --threads of every command that runs one.
type Settings struct {
	Device, Precision string
	// Memory is the most that is used of a card, as "24GiB"; "" is all.
	Memory string
	// Threads are those of the processor; 0 is one for each core.
	Threads int
}

// bf16Parameters is the size from which a model stored as bfloat16 is computed
// in it: a smaller one is fast enough, and float32 is exact.
const bf16Parameters = 100_000_000

// For settles an automatic precision for a model.
func (s Settings) For(m model.Config) Settings {
	if s.Precision == "" || s.Precision == "auto" {
		s.Precision = "f32"
		if s.OnCard() || m.DType == "bfloat16" && m.Parameters() >= bf16Parameters && feature.Has(feature.AVX512BF16) {
			s.Precision = "bf16"
		}
	}
	return s
}

const cardDevice = "cuda"

// OnCard says whether the device is an NVIDIA card.
func (s Settings) OnCard() bool {
	name, _, _ := strings.Cut(s.Device, ":")
	return name == cardDevice
}

// NumThreads is Threads; where that is 0, one for each core, as far as Go may run on so
// many. A kernel on one thread keeps a core's multipliers busy, so that a second thread of
// the core takes turns with it and halves its caches; PyTorch and llama.cpp count so, too.
func (s Settings) NumThreads() int {
	if s.Threads > 0 {
		return s.Threads
	}
	n := runtime.GOMAXPROCS(0)
	if cores := host.Cores(); cores > 0 {
		n = min(n, cores)
	}
	return n
}

// Validate returns all faults that show without looking at the machine.
func (s Settings) Validate() error {
	_, wrongSize := host.ParseSize(s.Memory)
	errs := []error{host.CheckDevice(s.Device), wrongSize}
	if !slices.Contains([]string{"", "auto", "f32", "bf16"}, s.Precision) {
		errs = append(errs, fmt.Errorf("precision %q: want auto, f32 or bf16", s.Precision))
	}
	if s.Threads < 0 || s.Threads > host.MaxThreads {
		errs = append(errs, fmt.Errorf("threads must lie in [0, %d], got %d", host.MaxThreads, s.Threads))
	}
	return errors.Join(errs...)
}
