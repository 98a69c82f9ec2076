package driver

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// Variable names the environment's variable with the path of the driver
// library, tried instead of all other places.
const Variable = "ALIGN_LIBCUDA"

// Version is CUDA's: 1000 times the major plus 10 times the minor number.
type Version int

// MinimumVersion is the oldest driver that has all functions used here
// (cuGraphInstantiateWithFlags is the youngest).
const MinimumVersion Version = 11040

// String returns "12.4" for 12040.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// resolver finds the address of a function of the driver library.
type resolver = func(name string) (uintptr, error)

// Library is the driver, loaded and initialised. It is never unloaded: the
// driver's own threads may still run in it. Its methods may be called from any
// goroutine.
type Library struct {
	table   table
	place   string
	version Version
}

// standIn, where it is set, is what Open does.
var standIn func() (*Library, error)

// StandIn makes Open do what open does, or with nil what it always did. It is
// for tests of whole commands on a machine without a card: no program calls it.
func StandIn(open func() (*Library, error)) { standIn = open }

// Open loads the driver. Errors are [ErrNoDriver], [ErrTooOld],
// [ErrNoDevice] where it shows no card, or an [Error].
func Open() (*Library, error) {
	if standIn != nil {
		return standIn()
	}
	tried := places()
	if place := os.Getenv(Variable); place != "" && tried != nil {
		tried = []string{place}
	}
	var reason error
	for _, place := range tried {
		resolve, err := load(place)
		if err == nil {
			return OpenWith(place, resolve)
		}
		if reason == nil {
			reason = err
		}
	}
	return nil, &NoDriverError{Tried: tried, Reason: reason}
}

// OpenWith initialises a driver whose functions resolve finds by name: their
// addresses in the C calling convention. Place is its name in errors.
func OpenWith(place string, resolve func(name string) (uintptr, error)) (*Library, error) {
	l := &Library{place: place}
	missing := l.table.bind(resolve)
	if l.table.driverVersion == 0 {
		return nil, fmt.Errorf("cuda: %s is no NVIDIA driver: %w", place, missing)
	}
	var version int32
	if code := invoke(l.table.driverVersion, uintptr(unsafe.Pointer(&version))); code != 0 {
		return nil, &Error{Call: "cuDriverGetVersion", Code: code}
	}
	l.version = Version(version)
	if l.version < MinimumVersion || missing != nil {
		return nil, tooOld(place, l.version, missing)
	}
	if err := l.check("cuInit", invoke(l.table.initialize, 0)); err != nil {
		return nil, l.explain(err)
	}
	return l, nil
}

func tooOld(place string, v Version, missing error) error {
	err := fmt.Errorf("%w: %s is for CUDA %v: %v or later is needed", ErrTooOld, place, v, MinimumVersion)
	if missing != nil {
		return fmt.Errorf("%w: %w", err, missing)
	}
	return err
}

// explain adds the usual causes to a driver that shows no card.
func (l *Library) explain(err error) error {
	if !errors.Is(err, ErrNoDevice) {
		return err
	}
	const hidden = "CUDA_VISIBLE_DEVICES"
	if value, set := os.LookupEnv(hidden); set {
		return fmt.Errorf("%w: %s is %q", err, hidden, value)
	}
	return fmt.Errorf("%w: the driver's library is here (%s, CUDA %v), so its kernel module or the card is not: nvidia-smi shows both; a container needs --gpus all",
		err, l.place, l.version)
}

// Version returns the newest CUDA that the driver serves.
func (l *Library) Version() Version { return l.version }

// Place returns the name or path that the library was loaded by.
func (l *Library) Place() string { return l.place }

// check turns a result into an [Error].
func (l *Library) check(call string, code int) error {
	if code == 0 {
		return nil
	}
	return l.fault(call, code)
}

func (l *Library) fault(call string, code int) *Error {
	var name, text uintptr
	if invoke(l.table.errorName, uintptr(code), uintptr(unsafe.Pointer(&name))) != 0 {
		name = 0
	}
	if invoke(l.table.errorString, uintptr(code), uintptr(unsafe.Pointer(&text))) != 0 {
		text = 0
	}
	return &Error{Call: call, Code: code, Name: cString(name), Text: cString(text)}
}

// outside turns the driver's address of memory that is not Go's into a pointer.
func outside(at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }

// cString copies the text at an address of the driver's; "" at 0.
func cString(at uintptr) string {
	if at == 0 {
		return ""
	}
	const longest = 1 << 12
	var text []byte
	for p := outside(at); len(text) < longest && *(*byte)(p) != 0; p = unsafe.Add(p, 1) {
		text = append(text, *(*byte)(p))
	}
	return string(text)
}
