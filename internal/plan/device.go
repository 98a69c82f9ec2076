package plan

import (
	"runtime/debug"
	"slices"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cuda"
	"align/internal/host"
)

// matrixType is the type that the device holds a matrix in which is stored in
// the given one.
func (s *Stage) matrixType(stored device.Type) device.Type {
	if s.Compute.OnCard() {
		return cuda.HeldType(stored)
	}
	level, err := feature.Select()
	packed := err == nil && level != feature.Generic
	switch {
	case !packed || stored != device.F32 && stored != device.F16 && stored != device.BF16:
		return stored
	case s.Compute.Precision == "bf16" || stored == device.BF16:
		return device.BF16
	}
	return device.F32
}

// reserved is what the device takes for a model's matrices and vectors; nil: for
// what they are.
func (s *Stage) reserved() func(matrices, vectors []int64) int64 {
	if s.Compute.OnCard() {
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
func (s *Stage) process(adds int64) int64 {
	if s.Compute.OnCard() {
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
func (s *Stage) cardless() bool {
	b, is := s.Backend.(interface{ Counts() bool })
	return is && b.Counts()
}

// scratch is what the kernels take beside their sessions, where the device tells.
func (s *Stage) scratch(kernels ...[]device.Step) int64 {
	if sizer, is := s.Backend.(device.Sizer); is {
		return sizer.ScratchBytes(slices.Concat(kernels...))
	}
	return 0
}

// normSteps are the optimizer's kernels that take memory of their own.
func (s *Stage) normSteps(t Trained) []device.Step {
	x := device.View{Addr: 1, Rows: 1, Cols: t.elements(), Type: s.Act.Wide()}
	sum := device.View{Addr: 1, Rows: 1, Cols: 1, Type: device.F64}
	return []device.Step{{Kernel: "sum_squares", Call: device.Call{In: []device.View{x}, Out: []device.View{sum}}}}
}
