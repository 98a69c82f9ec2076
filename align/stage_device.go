package align

import (
	"runtime/debug"
	"slices"

	"align/internal/compute"
	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cuda"
	"align/internal/host"
)

// openDevice opens the device that the settings name for the model.
func (s *stage) openDevice() (err error) {
	open := s.compute().Open
	if s.env.planning {
		open = s.compute().OpenPlanned
	}
	s.backend, s.act, err = open(s.env.Note, s.env.Threads)
	return err
}

// compute is what the settings ask for, with the precision settled.
func (s *stage) compute() compute.Settings {
	return compute.Settings{Device: s.settings.Device, Precision: s.settings.Precision, Memory: s.settings.Memory, Threads: s.settings.Threads}.For(s.config)
}

// matrixType is the type that the device holds a matrix in which is stored in
// the given one.
func (s *stage) matrixType(stored device.Type) device.Type {
	if s.compute().OnCard() {
		return cuda.HeldType(stored)
	}
	level, err := feature.Select()
	packed := err == nil && level != feature.Generic
	switch {
	case !packed || stored != device.F32 && stored != device.F16 && stored != device.BF16:
		return stored
	case s.compute().Precision == "bf16" || stored == device.BF16:
		return device.BF16
	}
	return device.F32
}

// reserved is what the device takes for a model's matrices and vectors; nil: for
// what they are.
func (s *stage) reserved() func(matrices, vectors []int64) int64 {
	if s.compute().OnCard() {
		return cuda.Reserved
	}
	return nil
}

// What a run adds to the program, about: pages of its code that were not used
// yet, graphs, log and report. It was the same in all of scripts/plan-accuracy.sh.
const (
	trainingBytes = 9 << 20
	samplingBytes = 3 << 20
)

// process is what the program takes of the device's memory: nothing of a card's.
func (s *stage) process(adds int64) int64 {
	if s.compute().OnCard() {
		return 0
	}
	return residentMemory(adds)
}

// residentMemory is what the program and its data take, without what is left of
// reading them, and what running adds.
func residentMemory(adds int64) int64 {
	debug.FreeOSMemory()
	n := host.ResidentMemory()
	if n > 0 {
		n += adds
	}
	return n
}

// cardless says that the run is planned for a card that is not here: it has sizes
// and no time.
func (s *stage) cardless() bool {
	b, is := s.backend.(interface{ Counts() bool })
	return is && b.Counts()
}

// scratch is what the kernels take beside their sessions, where the device tells.
func (s *stage) scratch(kernels ...[]device.Step) int64 {
	if sizer, is := s.backend.(device.Sizer); is {
		return sizer.ScratchBytes(slices.Concat(kernels...))
	}
	return 0
}

// normSteps are the optimizer's kernels that take memory of their own.
func (s *stage) normSteps(t trained) []device.Step {
	x := device.View{Addr: 1, Rows: 1, Cols: t.elements(), Type: s.act.Wide()}
	sum := device.View{Addr: 1, Rows: 1, Cols: 1, Type: device.F64}
	return []device.Step{{Kernel: "sum_squares", Call: device.Call{In: []device.View{x}, Out: []device.View{sum}}}}
}
