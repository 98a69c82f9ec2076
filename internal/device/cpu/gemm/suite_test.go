package gemm

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// goPool is a pool of goroutines, made anew for each job.
type goPool int

func (p goPool) Threads() int { return int(p) }

func (p goPool) Run(job Job, tasks int) error {
	if p == 1 {
		for i := range tasks {
			job.Do(i, 0)
		}
		return nil
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range int(p) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(tasks); i = next.Add(1) - 1 {
				job.Do(int(i), worker)
			}
		})
	}
	wg.Wait()
	return nil
}

// forEachEngine runs a test for every level of the machine and both types. A
// level that ALIGN_REQUIRE_KERNEL lists must not be missing.
func forEachEngine(t *testing.T, run func(t *testing.T, set *kern.Set, typ device.Type)) {
	required := strings.Split(os.Getenv("ALIGN_REQUIRE_KERNEL"), ",")
	for level := feature.Generic; level <= feature.Highest; level++ {
		if !feature.Has(level) {
			if slices.Contains(required, level.String()) {
				t.Fatalf("the machine has %s at most, and ALIGN_REQUIRE_KERNEL asks for %s", feature.Detect(), level)
			}
			continue
		}
		set := kern.New(level)
		for _, typ := range []device.Type{device.F32, device.BF16} {
			if typ == device.BF16 && set.BF16.Rows == 0 {
				continue
			}
			t.Run(level.String()+"/"+typ.String(), func(t *testing.T) { run(t, set, typ) })
		}
	}
}

func engine(t testing.TB, set *kern.Set, typ device.Type, threads int) *Engine {
	t.Helper()
	e, err := New(set, typ, goPool(threads))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// memory is n bytes, aligned to a line, full of NaN.
func memory(n int64) unsafe.Pointer {
	words := make([]uint32, n/4+2*line)
	for i := range words {
		words[i] = 0xffffffff
	}
	p := unsafe.Pointer(unsafe.SliceData(words))
	return unsafe.Add(p, (line-int(uintptr(p)%line))%line)
}

func space(e *Engine, p *Product) Space {
	sizes := e.Sizes(p) // multiples of 4: checkBehind reads words
	s := Space{Shared: memory(sizes.Shared)}
	for range e.own {
		s.Worker = append(s.Worker, memory(sizes.Worker))
	}
	return s
}

func run1(t testing.TB, e *Engine, p *Product) {
	t.Helper()
	where, sizes := space(e, p), e.Sizes(p)
	if err := e.Run(p, where); err != nil {
		t.Fatal(err)
	}
	checkBehind(t, where.Shared, sizes.Shared)
	for _, w := range where.Worker {
		checkBehind(t, w, sizes.Worker)
	}
}

// checkBehind finds a write behind n bytes that memory gave.
func checkBehind(t testing.TB, p unsafe.Pointer, n int64) {
	t.Helper()
	for _, w := range unsafe.Slice((*uint32)(unsafe.Add(p, n)), line/4) {
		if w != 0xffffffff {
			t.Fatalf("a write behind a workspace of %d bytes", n)
		}
	}
}

func newRand(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 2)) }

// randomMatrix is rows x cols, with NaN between its rows.
func randomMatrix(r *rand.Rand, rows, cols, gap int) Matrix {
	m := Matrix{Data: make([]float32, rows*(cols+gap)), Stride: cols + gap}
	for i := range m.Data {
		m.Data[i] = float32(math.NaN())
		if i%m.Stride < cols {
			m.Data[i] = float32(r.NormFloat64())
		}
	}
	return m
}

// pack is m, of n x k, as a packed weight.
func pack(t testing.TB, set *kern.Set, typ device.Type, m Matrix, n, k int) Packed {
	t.Helper()
	w := Packed{Data: memory(PackedBytes(typ, n, k)), Type: typ, N: n, K: k}
	err := Pack(set, w, device.F32, func(dst []byte, row, rows int) error {
		for i := range rows {
			copy(elements[float32](dst)[i*k:][:k], m.Data[(row+i)*m.Stride:])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// rounded is m as an engine of the type sees it.
func rounded(m Matrix, typ device.Type) Matrix {
	if typ == device.F32 || len(m.Data) == 0 {
		return m
	}
	set := kern.New(feature.Generic)
	half, out := make([]uint16, len(m.Data)), make([]float32, len(m.Data))
	set.ToBF16(half, m.Data)
	set.FromBF16(out, half)
	return Matrix{Data: out, Stride: m.Stride}
}
