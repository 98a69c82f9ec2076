package cublaslt

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// ErrNotFound is for a machine without the library.
var ErrNotFound = errors.New("no cuBLASLt found")

// ErrNoAlgorithm is for a shape that the library has no algorithm for.
var ErrNoAlgorithm = errors.New("cuBLASLt has no algorithm for the shape")

// Error is a call that failed (cublas_api.h, enum cublasStatus_t).
type Error struct {
	Call   string
	Status int
}

// Error is "cublasLtMatmul: status 13".
func (e *Error) Error() string { return fmt.Sprintf("cublaslt: %s: status %d", e.Call, e.Status) }

// resolver finds the address of a function.
type resolver = func(name string) (uintptr, error)

// table holds the library's functions.
type table struct {
	create, destroy, version               uintptr
	descCreate, descSet, descDestroy       uintptr
	layoutCreate, layoutDestroy            uintptr
	preferCreate, preferSet, preferDestroy uintptr
	heuristic, matmul                      uintptr
}

func (t *table) bind(resolve resolver) error {
	var missing []string
	for name, at := range map[string]*uintptr{
		"cublasLtCreate": &t.create, "cublasLtDestroy": &t.destroy, "cublasLtGetVersion": &t.version,
		"cublasLtMatmulDescCreate": &t.descCreate, "cublasLtMatmulDescSetAttribute": &t.descSet, "cublasLtMatmulDescDestroy": &t.descDestroy,
		"cublasLtMatrixLayoutCreate": &t.layoutCreate, "cublasLtMatrixLayoutDestroy": &t.layoutDestroy,
		"cublasLtMatmulPreferenceCreate": &t.preferCreate, "cublasLtMatmulPreferenceSetAttribute": &t.preferSet,
		"cublasLtMatmulPreferenceDestroy": &t.preferDestroy,
		"cublasLtMatmulAlgoGetHeuristic":  &t.heuristic, "cublasLtMatmul": &t.matmul,
	} {
		found, err := resolve(name)
		if err != nil || found == 0 {
			missing = append(missing, name)
		}
		*at = found
	}
	if missing != nil {
		return fmt.Errorf("cublaslt: the library lacks %s", strings.Join(missing, ", "))
	}
	return nil
}

// Library is cuBLASLt, loaded. It is never unloaded.
type Library struct {
	table table
	place string
}

// Open loads the library for a driver of the given CUDA major version, or
// returns [ErrNotFound] with the places tried.
func Open(driverMajor int) (*Library, error) {
	places := thisMachine().places(driverMajor)
	for _, place := range places {
		resolve, err := load(place)
		if err != nil {
			continue
		}
		if l, err := OpenWith(place, resolve); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w: tried %s", ErrNotFound, strings.Join(places, ", "))
}

// OpenWith takes a library whose functions resolve finds by name. Place is its
// name.
func OpenWith(place string, resolve func(name string) (uintptr, error)) (*Library, error) {
	l := &Library{place: place}
	return l, l.table.bind(resolve)
}

// Place is the name or path that the library was loaded by.
func (l *Library) Place() string { return l.place }

// Version is the library's: 10000 times the major, 100 times the minor number
// and the patch (120403 is 12.4.3).
func (l *Library) Version() int { return int(invoke(l.table.version)) }

// check turns a status into an [Error].
func check(call string, status uintptr) error {
	if int32(status) == 0 {
		return nil
	}
	return &Error{Call: call, Status: int(int32(status))}
}

// Handle is the library's state for one card.
type Handle struct {
	library *Library
	handle  uintptr
}

// Handle makes the state for the card whose context is current; it and what
// comes from it are used with that context.
func (l *Library) Handle() (*Handle, error) {
	h := &Handle{library: l}
	return h, check("cublasLtCreate", invoke(l.table.create, uintptr(unsafe.Pointer(&h.handle))))
}

// Close gives the state back.
func (h *Handle) Close() error {
	return check("cublasLtDestroy", invoke(h.library.table.destroy, h.handle))
}
