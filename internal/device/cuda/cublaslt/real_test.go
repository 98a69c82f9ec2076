//go:build linux && (amd64 || arm64) && !nogpu

package cublaslt

import (
	"errors"
	"os"
	"testing"
	"unsafe"
)

// getter reads attributes back from the library.
type getter struct {
	*testing.T
	resolve resolver
}

// value is an attribute, which has as many bytes as the library writes.
func (g getter) value(function string, of uintptr, attribute uintptr, size int) uint64 {
	g.Helper()
	at, err := g.resolve(function)
	if err != nil {
		g.Fatal(err)
	}
	var value, written uint64
	if err := check(function, invoke(at, of, attribute, uintptr(unsafe.Pointer(&value)), uintptr(size), uintptr(unsafe.Pointer(&written)))); err != nil {
		g.Errorf("attribute %d: %v", attribute, err)
	}
	if written != uint64(size) {
		g.Errorf("%s: attribute %d has %d bytes: we take %d", function, attribute, written, size)
	}
	return value
}

func (g getter) holds(function string, of uintptr, attribute uintptr, size int, want uint64) {
	g.Helper()
	if got := g.value(function, of, attribute, size); got != want {
		g.Errorf("%s: attribute %d is %d: want %d", function, attribute, got, want)
	}
}

// NVIDIA's library needs no card for descriptions: what we tell it is read back,
// attribute by attribute, with the size that it has there. ALIGN_CUBLASLT names it.
func TestTheLibraryKeepsWhatItIsTold(t *testing.T) {
	if os.Getenv(Variable) == "" {
		t.Skip(Variable + " names no library")
	}
	l, err := Open(majors[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, version %d", l.Place(), l.Version())
	resolve, err := load(l.Place())
	if err != nil {
		t.Fatal(err)
	}
	g := getter{t, resolve}
	p := &Product{handle: &Handle{library: l}}
	err = errors.Join(p.describe(true, false), p.layout(&p.w, typeBF16, 50, 70, 72, false), p.layout(&p.x, typeBF16, 50, 30, 32, true),
		p.layout(&p.y, typeF32, 70, 30, 80, false))
	if err != nil {
		t.Fatal(err)
	}
	const desc, layout, preference = "cublasLtMatmulDescGetAttribute", "cublasLtMatrixLayoutGetAttribute", "cublasLtMatmulPreferenceGetAttribute"
	const computeType, scaleType, pointerMode, onHost = 0, 1, 2, 0
	g.holds(desc, p.desc, computeType, 4, computeF32)
	g.holds(desc, p.desc, scaleType, 4, typeF32)
	g.holds(desc, p.desc, pointerMode, 4, onHost)
	g.holds(desc, p.desc, descTransA, 4, across)
	g.holds(desc, p.desc, descTransB, 4, 0)
	const typ, order, rows, cols, ld, byColumns = 0, 1, 2, 3, 4, 0
	for _, m := range []struct {
		at   uintptr
		want [4]uint64 // type, rows, columns, ld
	}{{p.w, [4]uint64{typeBF16, 50, 70, 72}}, {p.x, [4]uint64{typeBF16, 30, 50, 32}}, {p.y, [4]uint64{typeF32, 70, 30, 80}}} {
		g.holds(layout, m.at, typ, 4, m.want[0])
		g.holds(layout, m.at, order, 4, byColumns)
		g.holds(layout, m.at, rows, 8, m.want[1])
		g.holds(layout, m.at, cols, 8, m.want[2])
		g.holds(layout, m.at, ld, 8, m.want[3])
	}
	prefer, err := l.preference()
	if err != nil {
		t.Fatal(err)
	}
	g.holds(preference, prefer, preferWorkspace, 8, Workspace)
	g.holds(preference, prefer, preferReduction, 4, 0)
	for matrix := range uintptr(4) {
		g.holds(preference, prefer, preferAlignment+matrix, 4, Alignment)
	}
	if err := errors.Join(check("cublasLtMatmulPreferenceDestroy", invoke(l.table.preferDestroy, prefer)), p.Close()); err != nil {
		t.Error(err)
	}
}

// Without a card the library refuses a handle with a status of its own.
func TestTheLibraryRefusesWithoutACard(t *testing.T) {
	if os.Getenv(Variable) == "" || os.Getenv("ALIGN_TEST_GPU") == "1" {
		t.Skip(Variable + " names no library, or there is a card")
	}
	l, err := Open(majors[0])
	if err != nil {
		t.Fatal(err)
	}
	const notInitialized = 1
	var refused *Error
	if _, err := l.Handle(); !errors.As(err, &refused) || refused.Status != notInitialized {
		t.Errorf("error %v: want CUBLAS_STATUS_NOT_INITIALIZED", err)
	}
}
