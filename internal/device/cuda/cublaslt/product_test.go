//go:build linux && (amd64 || arm64) && !nogpu

package cublaslt_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"align/internal/device/cuda/cublaslt"
	"align/internal/device/cuda/fakecublaslt"

	"github.com/ebitengine/purego"
)

// fake is made once: its functions are never freed.
var fake = sync.OnceValue(fakecublaslt.New)

func opened(t *testing.T) *cublaslt.Handle {
	t.Helper()
	fake().Refuse = false
	return handleOf(t, fake().Resolve)
}

// handleOf makes a handle of a library and checks that all is given back.
func handleOf(t *testing.T, resolve func(string) (uintptr, error)) *cublaslt.Handle {
	t.Helper()
	l, err := cublaslt.OpenWith("fake", resolve)
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
		if fake().Live() != 0 {
			t.Errorf("%d things were not given back", fake().Live())
		}
	})
	return h
}

// Row-major products of every kind reach a library that counts by columns.
func TestRowMajorProducts(t *testing.T) {
	const m, n, k = 3, 5, 7
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range []cublaslt.Shape{
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
	fake().Refuse = true
	if _, err := h.Product(cublaslt.Shape{M: 1, N: 1, K: 1, LdX: 1, LdW: 1, LdY: 1}); !errors.Is(err, cublaslt.ErrNoAlgorithm) {
		t.Errorf("error %v: want ErrNoAlgorithm", err)
	}
	_, err := cublaslt.OpenWith("half", func(name string) (uintptr, error) {
		if name == "cublasLtMatmul" {
			return 0, errors.New("undefined symbol")
		}
		return fake().Resolve(name)
	})
	if err == nil || err.Error() != "cublaslt: the library lacks cublasLtMatmul" {
		t.Errorf("error %v: want the missing function", err)
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
	fake().Refuse = false
	h := handleOf(t, func(name string) (uintptr, error) {
		if name == "cublasLtMatmul" {
			return zero, nil
		}
		return fake().Resolve(name)
	})
	p, err := h.Product(cublaslt.Shape{M: 2, N: 2, K: 2, LdX: 2, LdW: 2, LdY: 2})
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
