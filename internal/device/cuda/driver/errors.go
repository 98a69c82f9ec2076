package driver

import (
	"errors"
	"fmt"
	"strings"
)

// What an error of this package is, for errors.Is.
var (
	// ErrNoDriver: the driver library was not found or is not in this build.
	ErrNoDriver = errors.New("cuda: no NVIDIA driver found")
	// ErrTooOld: the driver is older than [MinimumVersion].
	ErrTooOld = errors.New("cuda: the NVIDIA driver is too old")
	// ErrNoDevice: the driver is there and shows no such card.
	ErrNoDevice = errors.New("cuda: no such NVIDIA card")
	// ErrOutOfMemory: the card or the pinned host memory is full. Nothing is
	// lost: free some and go on.
	ErrOutOfMemory = errors.New("cuda: out of memory")
	// ErrLost: an earlier fault has broken the context, and every later call
	// returns this until the process ends.
	ErrLost = errors.New("cuda: the device is lost")
	// ErrClosed: the device was closed.
	ErrClosed = errors.New("cuda: the device is closed")
)

// NoDriverError is an [ErrNoDriver] with the places that were tried.
type NoDriverError struct {
	Tried  []string
	Reason error // of the first place
}

// Error tells the places, the loader's reason and what to do.
func (e *NoDriverError) Error() string {
	if len(e.Tried) == 0 {
		return fmt.Sprintf("%v: this build is without the binding to it (run with --device cpu)", ErrNoDriver)
	}
	return fmt.Sprintf("%v: tried %s: %v (install the NVIDIA driver, or run with --device cpu)",
		ErrNoDriver, strings.Join(e.Tried, ", "), e.Reason)
}

// Is reports whether target is [ErrNoDriver].
func (e *NoDriverError) Is(target error) bool { return target == ErrNoDriver }

// CUresult values that the binding tells apart (cuda.h, enum cudaError_enum).
const (
	codeOutOfMemory = 2
	codeNoDevice    = 100
	codeBadDevice   = 101
)

// Error is a driver call that returned another code than CUDA_SUCCESS.
type Error struct {
	Call string // the function, e.g. "cuMemAlloc"
	Code int    // CUresult
	Name string // of the code, e.g. "CUDA_ERROR_OUT_OF_MEMORY"; "" if the driver does not know it
	Text string // the driver's sentence on it
}

// Error tells the call, the driver's sentence, the code's name and number, and what to
// do where that is known.
func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("cuda: %s: unknown code %d", e.Call, e.Code)
	}
	text := fmt.Sprintf("cuda: %s: %s (%s, %d)", e.Call, e.Text, e.Name, e.Code)
	if hint := hints[e.Code]; hint != "" {
		text += ": " + hint
	}
	return text
}

// hints say what usually stands behind a code that a machine's set-up leads to.
var hints = map[int]string{
	34:  "this is the toolkit's stub: let " + Variable + " name the driver's own libcuda.so.1",
	46:  "another process has the card to itself, or its compute mode forbids it (nvidia-smi -q -d COMPUTE)",
	214: "the card's memory is at fault (nvidia-smi -q -d ECC,ROW_REMAPPER): restart the machine, and replace the card where that goes on",
	221: "libnvidia-ptxjitcompiler.so.1 is a part of the driver; a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility",
	222: "the driver is older than these kernels: update it",
	702: "a card that drives a display stops what takes long: use one that does not",
	802: "cards with NVSwitch need nvidia-fabricmanager running",
	803: "the driver was changed since the machine was started: restart it",
	804: "a CUDA compatibility library stands before the driver's own: take it out of LD_LIBRARY_PATH",
	999: "the module nvidia-uvm may not be loaded: run nvidia-modprobe -u as root",
}

// Is reports whether the code is of target's kind.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrOutOfMemory:
		return e.Code == codeOutOfMemory
	case ErrNoDevice:
		return e.Code == codeNoDevice || e.Code == codeBadDevice
	case ErrLost:
		return sticky(e.Code)
	}
	return false
}

// sticky reports whether the code leaves the context unusable: the reference
// says of each of these that the process must be ended and started again.
func sticky(code int) bool {
	switch code {
	case 214, // ECC_UNCORRECTABLE
		220, 226, // NVLINK_UNCORRECTABLE, CONTAINED
		700, 702, // ILLEGAL_ADDRESS, LAUNCH_TIMEOUT
		710,                          // ASSERT
		714, 715, 716, 717, 718, 719, // HARDWARE_STACK_ERROR ... LAUNCH_FAILED
		721, 810, 911: // TENSOR_MEMORY_LEAK, MPS_CLIENT_TERMINATED, EXTERNAL_DEVICE
		return true
	}
	return false
}

// LostError is an [ErrLost] with the fault that broke the device. Launches
// return before they run, so the call that told it need not be the culprit.
type LostError struct {
	Device int
	Cause  *Error
}

// Error tells the first fault and what to do.
func (e *LostError) Error() string {
	return fmt.Sprintf("cuda: device %d is lost: %v: start the program again", e.Device, e.Cause)
}

// Is reports whether target is [ErrLost].
func (e *LostError) Is(target error) bool { return target == ErrLost }

// Unwrap returns the first fault.
func (e *LostError) Unwrap() error { return e.Cause }

// MemoryError is an [ErrOutOfMemory] with the sizes, in bytes.
type MemoryError struct {
	Device             int
	Asked, Free, Total uint64
	Cause              error
}

// Error tells what was asked for and what was left.
func (e *MemoryError) Error() string {
	const mib = 1 << 20
	return fmt.Sprintf("cuda: device %d: out of memory: %.1f MiB asked for, %.1f of %.1f MiB free",
		e.Device, float64(e.Asked)/mib, float64(e.Free)/mib, float64(e.Total)/mib)
}

// Unwrap returns the driver's error.
func (e *MemoryError) Unwrap() error { return e.Cause }
