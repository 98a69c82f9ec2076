//go:build linux && (amd64 || arm64) && !nogpu

package fakedriver

import (
	"fmt"
	"sync"
	"syscall"

	"align/internal/device/cuda/ptxsim"
)

// Results of driver calls (cuda.h, enum cudaError_enum).
const (
	success        = 0
	InvalidValue   = 1
	OutOfMemory    = 2
	NoDevice       = 100
	badDevice      = 101
	noBinary       = 209
	badImage       = 218
	invalidContext = 201
	invalidHandle  = 400
	notFound       = 500
	notReady       = 600
	inCapture      = 900
	captureBroken  = 901
	IllegalAddress = 700
	launchFailed   = 719
	Unknown        = 999
)

// Card is what the fake shows of a device.
type Card struct {
	Name                string
	Major, Minor, Units int32
	Memory              uint64 // bytes
}

// Kernel stands for a kernel's code. Args are the addresses of the arguments'
// values; a result other than 0 comes to light at the stream's next wait.
type Kernel func(d *Driver, l Launch) int

// Launch is what arrived of a launch.
type Launch struct {
	Grid, Block  [3]uint32
	SharedMemory uint32
	Args         []uint64 // 8 bytes from each argument's address
}

// Script is how a fake behaves.
type Script struct {
	Version int32 // CUDA's, e.g. 12040
	Init    int   // cuInit's result
	Cards   []Card
	Kernels map[string]Kernel
	// Parameters is the number of arguments that each kernel reads.
	Parameters map[string]int
	// Missing are functions that the library lacks.
	Missing map[string]bool
	// BadPTX is the translator's log for every module; "" lets them pass.
	BadPTX string
	// Sim runs kernels that are not in Kernels from their module's PTX; nil
	// leaves PTX unread.
	Sim *ptxsim.Sim
}

// Driver is a fake. Its functions are made once and never freed: a process
// makes one Driver and plays one Script after the other.
type Driver struct {
	mu        sync.Mutex
	addresses map[string]uintptr
	script    Script
	texts     map[int][2][]byte         // a code's name and sentence, with a final 0
	parsed    map[string]*ptxsim.Module // by text, none of which runs: modules are fresh ones

	current map[int]int // card + 1, by thread
	capture *stream     // under way, nil for none
	cards   []state
	things  map[uintptr]any
	last    uintptr
	calls   map[string]int
	fault   error // of the simulator, the first since Reset
}

// state is a card's.
type state struct {
	broken  int // code of every later call
	holders int
	used    uint64
	peak    uint64            // of used
	memory  map[uint64][]byte // by address
	ranges  ptxsim.Memory     // the same, for the simulator
}

// New makes the functions. Reset tells how they behave.
func New() *Driver {
	d := &Driver{addresses: map[string]uintptr{}, texts: texts(), parsed: map[string]*ptxsim.Module{}}
	d.addFunctions()
	return d
}

// Reset forgets everything and plays a script.
func (d *Driver) Reset(s Script) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script = s
	d.current, d.things, d.calls, d.fault, d.capture = map[int]int{}, map[uintptr]any{}, map[string]int{}, nil, nil
	d.cards = make([]state, len(s.Cards))
	for i := range d.cards {
		d.cards[i].memory = map[uint64][]byte{}
	}
}

// Resolve returns the address of a function.
func (d *Driver) Resolve(name string) (uintptr, error) {
	at := d.addresses[name]
	if at == 0 || d.script.Missing[name] {
		return 0, fmt.Errorf("undefined symbol: %s", name)
	}
	return at, nil
}

// Calls returns how often a function was called since Reset.
func (d *Driver) Calls(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[name]
}

// Peak is the most memory of a card that was in use at once since Reset, in bytes.
func (d *Driver) Peak(card int) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cards[card].peak
}

// Fault returns what the simulator found wrong first since Reset, nil for
// nothing. The driver itself tells a code only.
func (d *Driver) Fault() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault
}

// ForgetFault makes Fault return nil again.
func (d *Driver) ForgetFault() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = nil
}

// Live returns the number of buffers, streams, modules and other things that
// were made and not given back.
func (d *Driver) Live() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	live := len(d.things)
	for i := range d.cards {
		live += len(d.cards[i].memory) + d.cards[i].holders
	}
	return live
}

// here returns the card whose context is current on the calling thread.
func (d *Driver) here() (*state, int) {
	card := d.current[syscall.Gettid()]
	if card == 0 {
		return nil, invalidContext
	}
	s := &d.cards[card-1]
	return s, s.broken
}

// keep gives a thing a handle.
func (d *Driver) keep(thing any) uintptr {
	d.last += 16
	d.things[d.last] = thing
	return d.last
}

// Bytes returns the memory of any card from an address to its buffer's end, nil
// where there is none.
func (d *Driver) Bytes(address uint64) []byte {
	for i := range d.cards {
		if m := d.cards[i].bytes(address); m != nil {
			return m
		}
	}
	return nil
}

func (s *state) bytes(address uint64) []byte {
	for start, m := range s.memory {
		if address >= start && address < start+uint64(len(m)) {
			return m[address-start:]
		}
	}
	return nil
}

func texts() map[int][2][]byte {
	all := map[int][2][]byte{}
	for code, t := range map[int][2]string{
		InvalidValue:   {"CUDA_ERROR_INVALID_VALUE", "invalid argument"},
		OutOfMemory:    {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
		NoDevice:       {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
		badDevice:      {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
		noBinary:       {"CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
		badImage:       {"CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
		invalidContext: {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
		invalidHandle:  {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
		notFound:       {"CUDA_ERROR_NOT_FOUND", "named symbol not found"},
		notReady:       {"CUDA_ERROR_NOT_READY", "device not ready"},
		inCapture:      {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
		captureBroken:  {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
		IllegalAddress: {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
		launchFailed:   {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
		Unknown:        {"CUDA_ERROR_UNKNOWN", "unknown error"},
	} {
		all[code] = [2][]byte{append([]byte(t[0]), 0), append([]byte(t[1]), 0)}
	}
	return all
}
