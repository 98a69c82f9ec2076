//go:build linux && (amd64 || arm64) && !nogpu

package cublaslt

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

// fake is a library of Go functions that follow cublasLt.h: matrices are stored
// by columns, types and attributes are numbers of its enumerations. It
// multiplies in host memory.
type fake struct {
	functions map[string]uintptr
	things    map[uintptr]any
	last      uintptr
	refuse    bool // no algorithm
}

type fakeDesc struct{ attributes map[uintptr]uint64 }

type fakeLayout struct{ typ, rows, cols, ld uintptr }

type fakePreference struct{ attributes map[uintptr]uint64 }

// theFake is made once: callbacks are never freed.
var theFake = sync.OnceValue(newFake)

func memory[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

const (
	ok           = 0
	invalidValue = 7
	refused      = 15
)

func newFake() *fake {
	f := &fake{functions: map[string]uintptr{}, things: map[uintptr]any{}, last: 1 << 20}
	type word = uintptr
	add := func(name string, g func(a, b, c, d, e word) word) {
		f.functions[name] = purego.NewCallback(func(a, b, c, d, e word) word { return g(a, b, c, d, e) })
	}
	keep := func(to word, thing any) word {
		f.last += 16
		f.things[f.last] = thing
		*memory[uintptr](to) = f.last
		return ok
	}
	drop := func(a, _, _, _, _ word) word {
		if f.things[a] == nil {
			return invalidValue
		}
		delete(f.things, a)
		return ok
	}
	set := func(attributes map[uintptr]uint64, which, from, size word) word {
		switch size {
		case 4:
			attributes[which] = uint64(*memory[uint32](from))
		case 8:
			attributes[which] = *memory[uint64](from)
		default:
			return invalidValue
		}
		return ok
	}
	add("cublasLtCreate", func(to, _, _, _, _ word) word { return keep(to, "handle") })
	add("cublasLtDestroy", drop)
	add("cublasLtGetVersion", func(_, _, _, _, _ word) word { return 120403 })
	add("cublasLtMatmulDescCreate", func(to, compute, scale, _, _ word) word {
		if compute != 68 || scale != 0 {
			return invalidValue
		}
		return keep(to, &fakeDesc{map[uintptr]uint64{}})
	})
	add("cublasLtMatmulDescSetAttribute", func(d, which, from, size, _ word) word {
		return set(f.things[d].(*fakeDesc).attributes, which, from, size)
	})
	add("cublasLtMatmulDescDestroy", drop)
	add("cublasLtMatrixLayoutCreate", func(to, typ, rows, cols, ld word) word { return keep(to, &fakeLayout{typ, rows, cols, ld}) })
	add("cublasLtMatrixLayoutDestroy", drop)
	add("cublasLtMatmulPreferenceCreate", func(to, _, _, _, _ word) word { return keep(to, &fakePreference{map[uintptr]uint64{}}) })
	add("cublasLtMatmulPreferenceSetAttribute", func(p, which, from, size, _ word) word {
		return set(f.things[p].(*fakePreference).attributes, which, from, size)
	})
	add("cublasLtMatmulPreferenceDestroy", drop)
	f.functions["cublasLtMatmulAlgoGetHeuristic"] = purego.NewCallback(f.heuristic)
	f.functions["cublasLtMatmul"] = purego.NewCallback(f.matmul)
	return f
}

func (f *fake) heuristic(handle, desc, a, b, c, d, preference, asked, results, count uintptr) uintptr {
	p := f.things[preference].(*fakePreference)
	if f.things[handle] != "handle" || asked != 1 || p.attributes[1] != Workspace || p.attributes[3] != 0 || len(p.attributes) != 2 {
		return invalidValue
	}
	if f.refuse {
		return refused
	}
	r := memory[result](results)
	r.algorithm[0], r.algorithm[7] = 0x1234, 0x5678
	*memory[int32](count) = 1
	return ok
}

// element is (row, column) of a matrix by columns, turned if so asked.
func (l *fakeLayout) element(at uintptr, row, col uintptr, turned bool) float64 {
	if turned {
		row, col = col, row
	}
	if row >= l.rows || col >= l.cols || l.typ != 14 {
		return math.NaN()
	}
	return float64(math.Float32frombits(uint32(*memory[uint16](at + 2*(col*l.ld+row))) << 16))
}

func (f *fake) matmul(handle, desc, alpha, a, aLayout, b, bLayout, beta, c, cLayout, d, dLayout, algorithm, workspace, size, stream uintptr) uintptr {
	left, right, out := f.things[aLayout].(*fakeLayout), f.things[bLayout].(*fakeLayout), f.things[dLayout].(*fakeLayout)
	if c != d || cLayout != dLayout || out.typ != 0 || *memory[uint64](algorithm) != 0x1234 || workspace == 0 || size != Workspace || stream != 77 {
		return invalidValue
	}
	attributes := f.things[desc].(*fakeDesc).attributes
	turnA, turnB := attributes[3] == 1, attributes[4] == 1
	depth := left.cols
	if turnA {
		depth = left.rows
	}
	for col := range out.cols {
		for row := range out.rows {
			sum := 0.0
			for k := range depth {
				sum += left.element(a, row, k, turnA) * right.element(b, k, col, turnB)
			}
			y := memory[float32](d + 4*(col*out.ld+row))
			*y = float32(sum)**memory[float32](alpha) + *y**memory[float32](beta)
		}
	}
	return ok
}

func opened(t *testing.T) *Handle {
	t.Helper()
	f := theFake()
	f.refuse = false
	l, err := OpenWith("fake", func(name string) (uintptr, error) { return f.functions[name], nil })
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Handle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if len(f.things) != 0 {
			t.Errorf("%d things were not given back", len(f.things))
		}
	})
	return h
}

// Row-major products of every kind reach a library that counts by columns.
func TestRowMajorProducts(t *testing.T) {
	const m, n, k = 3, 5, 7
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range []Shape{
		{M: m, N: n, K: k, LdX: 8, LdW: 9, LdY: 6},
		{M: m, N: n, K: k, WAcross: true, LdX: 8, LdW: 6, LdY: 5},
		{M: m, N: n, K: k, XAcross: true, WAcross: true, LdX: 4, LdW: 6, LdY: 5},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			h := opened(t)
			fill := func(size int) []uint16 {
				x := make([]uint16, size)
				for i := range x {
					x[i] = uint16(math.Float32bits(rng.Float32()) >> 16)
				}
				return x
			}
			x, w, y := fill(8*s.LdX), fill(8*s.LdW), make([]float32, m*s.LdY)
			for i := range y {
				y[i] = float32(i)
			}
			at := func(v []uint16, ld, i, k int, across bool) float64 {
				if across {
					i, k = k, i
				}
				return float64(math.Float32frombits(uint32(v[i*ld+k]) << 16))
			}
			want := append([]float32(nil), y...)
			for i := range m {
				for j := range n {
					sum := 0.0
					for l := range k {
						sum += at(x, s.LdX, i, l, s.XAcross) * at(w, s.LdW, j, l, s.WAcross)
					}
					want[i*s.LdY+j] = 2*float32(sum) + 0.5*want[i*s.LdY+j]
				}
			}
			p, err := h.Product(s)
			if err != nil {
				t.Fatal(err)
			}
			address := func(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }
			err = errors.Join(p.On(77, address(unsafe.Pointer(&y[0])), address(unsafe.Pointer(&x[0])), address(unsafe.Pointer(&w[0])), 2, 0.5, 1), p.Close())
			if err != nil {
				t.Fatal(err)
			}
			for i := range y {
				if math.Abs(float64(y[i]-want[i])) > 1e-5 {
					t.Errorf("y[%d] is %v: want %v", i, y[i], want[i])
				}
			}
		})
	}
}

func TestRefusalsAreTold(t *testing.T) {
	h := opened(t)
	theFake().refuse = true
	if _, err := h.Product(Shape{M: 1, N: 1, K: 1, LdX: 1, LdW: 1, LdY: 1}); !errors.Is(err, ErrNoAlgorithm) {
		t.Errorf("error %v: want ErrNoAlgorithm", err)
	}
	_, err := OpenWith("half", func(name string) (uintptr, error) {
		if name == "cublasLtMatmul" {
			return 0, errors.New("undefined symbol")
		}
		return theFake().functions[name], nil
	})
	if err == nil || err.Error() != "cublaslt: the library lacks cublasLtMatmul" {
		t.Errorf("error %v: want the missing function", err)
	}
	if v := h.library.Version(); v != 120403 {
		t.Errorf("version %d", v)
	}
	if unsafe.Sizeof(result{}) != 96 {
		t.Errorf("a result has %d bytes: want 96", unsafe.Sizeof(result{}))
	}
}

// A product is enqueued without an allocation.
func TestEnqueueingAllocatesNothing(t *testing.T) {
	libc, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW)
	if err != nil {
		t.Skip("no C library: ", err)
	}
	zero, err := purego.Dlsym(libc, "sched_yield")
	if err != nil {
		t.Fatal(err)
	}
	h := opened(t)
	h.library.table.matmul = zero
	p, err := h.Product(Shape{M: 2, N: 2, K: 2, LdX: 2, LdW: 2, LdY: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	if n := testing.AllocsPerRun(100, func() {
		if p.On(1, 2, 3, 4, 1, 0, 5) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations: want none", n)
	}
}
