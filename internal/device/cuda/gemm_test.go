//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// gemmCase is one product with everything that may follow it.
type gemmCase struct {
	kind, shape    string
	m, n, k, r     int
	x, w, u, v     matrix
	before, bias   []float32
	rows, cols, by int // tile and threads
	prefix         string
	shared         int // bytes
}

func newGemmCase(kind, shape string, m, n, k, r int) *gemmCase {
	rng := random(uint64(m*n + k))
	g := &gemmCase{kind: kind, shape: shape, m: m, n: n, k: k, r: r}
	side := func(vectors, length int, across bool) matrix {
		if across {
			return newMatrix(rng, length, vectors)
		}
		return newMatrix(rng, vectors, length)
	}
	g.x, g.u = side(m, k, kind == "tn"), side(m, r, kind == "tn")
	g.w, g.v = side(n, k, kind != "nt"), side(n, r, kind != "nt")
	for range m * n {
		g.before = append(g.before, float32(rng.NormFloat64()))
	}
	for range n {
		g.bias = append(g.bias, float32(rng.NormFloat64()))
	}
	g.rows, g.cols, g.by, g.prefix = 64, 64, 128, "gemm"
	stages := 3
	switch shape {
	case "large":
		g.rows, g.cols, g.by = 128, 128, 256
	case "slim":
		g.cols, stages = 32, 8
	case "narrow":
		g.cols = 16
	}
	g.shared = stages * 64 * (g.rows + g.cols)
	return g
}

// newWgmmaCase is a product by gemm_sm90.cu.
func newWgmmaCase(kind, shape string, m, n, k, r int) *gemmCase {
	g := newGemmCase(kind, shape, m, n, k, r)
	g.rows, g.cols, g.by, g.prefix = 128, 128, 256, "wgmma"
	if shape == "wide" {
		g.cols = 256
	}
	g.shared = 4*128*(g.rows+g.cols) + 1024
	return g
}

const gemmAlpha = 0.5

func (g *gemmCase) entry() string { return g.prefix + "_" + g.kind + "_" + g.shape }

// want is the product in float64.
func (g *gemmCase) want() []float64 {
	out := make([]float64, g.m*g.n)
	for i := range g.m {
		for j := range g.n {
			s := 0.0
			for k := range g.k {
				s += g.x.at(i, k, g.kind == "tn") * g.w.at(j, k, g.kind != "nt")
			}
			for k := range g.r {
				s += g.u.at(i, k, g.kind == "tn") * g.v.at(j, k, g.kind != "nt")
			}
			out[i*g.n+j] = gemmAlpha*s + float64(g.bias[j]) + float64(g.before[i*g.n+j])
		}
	}
	return out
}

// run is the product on the card by the given text of gemm.cu.
func (g *gemmCase) run(t *testing.T, c *cudatest.Card, ptx string) ([]float32, error) {
	t.Helper()
	y := cudatest.Upload(t, c, g.before)
	side := func(m matrix) driver.Arg { return driver.Ptr(cudatest.Upload(t, c, m.raw)) }
	err := c.TryRun(ptx, g.entry(), line(ceil(g.m, g.rows)*ceil(g.n, g.cols)), line(g.by), g.shared,
		side(g.x), side(g.w), side(g.u), side(g.v), driver.Ptr(y), driver.Ptr(cudatest.Upload(t, c, g.bias)),
		integer(g.x.ld), integer(g.w.ld), integer(g.u.ld), integer(g.v.ld), integer(g.n), integer(g.m), integer(g.n),
		integer(g.k), integer(g.r), driver.F32(gemmAlpha), integer(1), integer(max(1, g.k)), integer(int(device.F32)))
	if err != nil {
		return nil, err
	}
	return cudatest.Download[float32](t, c, y, g.m*g.n), nil
}

// few is run by a file for few rows.
func (g *gemmCase) few(t *testing.T, c *cudatest.Card, file, ptx string) ([]float32, error) {
	t.Helper()
	y := cudatest.Upload(t, c, g.before)
	side := func(m matrix) driver.Arg { return driver.Ptr(cudatest.Upload(t, c, m.raw)) }
	args := []driver.Arg{
		driver.Ptr(y), side(g.x), side(g.w), side(g.u), side(g.v), driver.Ptr(cudatest.Upload(t, c, g.bias)),
		integer(g.x.ld), driver.U64(uint64(2 * g.w.ld)), integer(g.u.ld), integer(g.n), integer(g.m), integer(g.n),
		integer(g.k), integer(g.r), driver.F32(gemmAlpha), integer(1),
	}
	columns := 8
	if file != "gemv_narrow" {
		args, columns = append(args, integer(g.k)), 32 // one part
	}
	err := c.TryRun(ptx, file+"_bf16", line(ceil(g.n, columns)), line(128), 0, append(args, integer(int(device.F32)))...)
	if err != nil {
		return nil, err
	}
	return cudatest.Download[float32](t, c, y, g.m*g.n), nil
}

// Products of exact bf16 inputs are off by float32 roundings only.
func TestGemmAgainstFloat64(t *testing.T) {
	ptx := ptxOf(t, "gemm")
	const tolerance = 1e-4
	for _, kind := range []string{"nt", "nn", "tn"} {
		for _, shape := range []string{"large", "small", "slim", "narrow", "odd"} {
			for _, s := range [][4]int{{1, 6, 5, 3}, {65, 70, 100, 16}, {200, 130, 33, 0}, {63, 16, 0, 9}} {
				n := s[1]
				if shape == "odd" {
					n++
				}
				g := newGemmCase(kind, shape, s[0], n, s[2], s[3])
				got, err := g.run(t, cudatest.Open(t), ptx)
				if err != nil {
					t.Fatal(err)
				}
				if d := distance(widened(got), g.want()); d > tolerance {
					t.Errorf("%s %v: off by %g", g.entry(), s, d)
				}
			}
		}
	}
}

// The large tile feeds the matrix units without bank conflicts and with few
// other instructions.
func TestGemmCounters(t *testing.T) {
	for kind, l := range map[string]limits{"nt": {1, 5.2}, "nn": {1, 5.5}, "tn": {1, 5.5}} {
		c := cudatest.Open(t)
		g := newGemmCase(kind, "large", 128, 128, 512, 16)
		if _, err := g.run(t, c, ptxOf(t, "gemm")); err != nil {
			t.Fatal(err)
		}
		l.holds(t, c, g.entry())
	}
}

// So are those of Hopper's own instruction.
func TestWgmmaAgainstFloat64(t *testing.T) {
	ptx := ptxOf(t, "gemm_sm90")
	const tolerance = 1e-4
	for _, kind := range []string{"nt", "nn", "tn"} {
		for _, shape := range []string{"wide", "square"} {
			for _, s := range [][4]int{{1, 8, 5, 3}, {130, 264, 200, 16}, {200, 136, 33, 0}, {63, 16, 0, 72}, {64, 128, 520, 8}} {
				g := newWgmmaCase(kind, shape, s[0], s[1], s[2], s[3])
				got, err := g.run(t, cudatest.OpenTarget(t, cudatest.Hopper), ptx)
				if err != nil {
					t.Fatal(err)
				}
				if d := distance(widened(got), g.want()); d > tolerance {
					t.Errorf("%s %v: off by %g", g.entry(), s, d)
				}
			}
		}
	}
}

// byMma and byWgmma are one product by either instruction.
func byMma(t *testing.T, c *cudatest.Card, kind string) []float32 {
	t.Helper()
	y, err := newGemmCase(kind, "large", 140, 264, 200, 8).run(t, c, ptxOf(t, "gemm"))
	if err != nil {
		t.Fatal(err)
	}
	return y
}

func byWgmma(t *testing.T, c *cudatest.Card, kind, shape string) []float32 {
	t.Helper()
	y, err := newWgmmaCase(kind, shape, 140, 264, 200, 8).run(t, c, ptxOf(t, "gemm_sm90"))
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// addAlike says whether the card's two instructions add the terms of a step alike. Where
// they do not, as no manual forbids, a row's bits hang on which of them made it.
func addAlike(t *testing.T) bool {
	t.Helper()
	c := cudatest.OpenTarget(t, cudatest.Hopper)
	if !c.MayDiffer() {
		return true
	}
	mma, wgmma := byMma(t, c, "nt"), byWgmma(t, c, "nt", "wide")
	if slices.Equal(mma, wgmma) {
		return true
	}
	t.Logf("mma.sync and wgmma add in ways of their own on this card: a product differs by up to %g", distance(widened(mma), widened(wgmma)))
	return false
}

// By default the simulator adds the terms of both instructions one after the other, so
// that here the bits show the order of the steps. A card shows whether its two
// instructions add alike within a step; where not, there is nothing to hold to.
func TestWgmmaHasTheBitsOfMma(t *testing.T) {
	if !addAlike(t) {
		t.Skip("so neither do kernels on one have the bits of those on the other")
	}
	for _, kind := range []string{"nt", "nn", "tn"} {
		c := cudatest.OpenTarget(t, cudatest.Hopper)
		mma := byMma(t, c, kind)
		for _, shape := range []string{"wide", "square"} {
			if wgmma := byWgmma(t, c, kind, shape); !slices.Equal(mma, wgmma) {
				t.Errorf("wgmma_%s_%s: the bits differ from gemm_%s_large's by up to %g", kind, shape, kind, distance(widened(wgmma), widened(mma)))
			}
		}
	}
}

// A step of 64 terms, which keeps the matrix units busy for 1024 cycles, takes
// the threads few instructions and no bank conflicts.
func TestWgmmaCounters(t *testing.T) {
	for kind, l := range map[string]limits{"nt": {1, 30.3}, "nn": {1, 33}, "tn": {1, 32.5}} {
		c := cudatest.OpenTarget(t, cudatest.Hopper)
		g := newWgmmaCase(kind, "wide", 128, 256, 4096, 16)
		if _, err := g.run(t, c, ptxOf(t, "gemm_sm90")); err != nil {
			t.Fatal(err)
		}
		l.holds(t, c, g.entry())
	}
}

// A row has the same bits whatever tile makes it.
func TestGemmTilesAgreeBitForBit(t *testing.T) {
	ptx := ptxOf(t, "gemm")
	var want []float32
	for _, shape := range []string{"large", "small", "slim", "narrow", "odd"} {
		got, err := newGemmCase("nt", shape, 70, 34, 200, 8).run(t, cudatest.Open(t), ptx)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s: the bits differ from large's", shape)
		}
	}
}

// gemv has the bits of gemm, whichever of its files runs.
func TestGemvHasTheBitsOfGemm(t *testing.T) {
	for _, s := range []struct {
		file       string
		m, n, k, r int
	}{
		{"gemv", 1, 40, 512, 16}, {"gemv", 8, 9, 72, 5}, {"gemv", 3, 130, 257, 0},
		{"gemv16", 9, 40, 600, 16}, {"gemv16", 16, 9, 72, 5}, {"gemv16", 13, 130, 257, 0},
		{"gemv_narrow", 1, 40, 1024, 16}, {"gemv_narrow", 8, 9, 72, 5}, {"gemv_narrow", 3, 130, 257, 0}, {"gemv_narrow", 5, 23, 1543, 7},
		{"gemv_narrow", 2, 16, 513, 1}, {"gemv_narrow", 1, 7, 1, 3},
	} {
		g := newGemmCase("nt", "odd", s.m, s.n|1, s.k, s.r)
		c := cudatest.Open(t)
		want, err := g.run(t, c, ptxOf(t, "gemm"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.few(t, c, s.file, ptxOf(t, s.file))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the bits differ by %g", fmt.Sprint(s), distance(widened(got), widened(want)))
		}
	}
}

// A weight of few columns, as keys and values have them, is read once by four times as
// many warps as it has columns for, in few instructions more than a warp alone takes.
func TestFewColumnsKeepACardBusy(t *testing.T) {
	const n, k = 64, 4096
	for typ, most := range map[device.Type]float64{device.BF16: 70, device.NF4: 118} {
		b := openRacing(t, false)
		r := &trial{t, b, random(9)}
		x, y := r.array(1, k, 1), r.room(device.BF16, 1, n)
		w := r.array(n, k, 1).view
		if typ != device.BF16 {
			w = r.room(typ, n, k)
			raw, _ := blocks(t, typ, n, k)
			if err := b.Upload(w, raw); err != nil {
				t.Fatal(err)
			}
		}
		r.run("linear", nil, []device.View{y}, []device.View{x.view, w})
		r.read(y)
		s, simulated := cudatest.Counted("gemv_narrow_" + typ.String())
		if !simulated {
			t.Skip("a real card does not count")
		}
		step := float64(s.Instructions) / (n / 8 * k / 32)
		// Each block reads x as well, for one row's lanes and the others'.
		moved := float64(32*s.GlobalSectors-n/8*2*k) / float64(w.Bytes())
		t.Logf("%v: %.1f instructions for 32 terms of 8 columns, conflicts %.2f; the weight's sectors are asked for %.2f times", typ, step, s.Conflicts(), moved)
		if s.Launches != 1 || step > most || s.Local != 0 || s.Conflicts() > 1.02 || typ == device.BF16 && moved > 1.3 {
			t.Errorf("%v: %d launches, %.1f instructions for 32 terms, %d uses of local memory: want 1, at most %.0f and 0", typ, s.Launches, step, s.Local, most)
		}
	}
}

// A product of 16 rows, as the decoding of a rollout makes, reads a weight as it is
// stored, by one kernel, in few instructions; one in bf16 is read once, and a turn of
// the loop behind its end. (What asks for sectors again, as blocks do, is served by
// the multiprocessor's cache, which the simulator does not count.)
func TestSixteenRowsReadTheWeightAsItIs(t *testing.T) {
	const m, n, k = 16, 128, 2048
	for typ, most := range map[device.Type]float64{device.BF16: 94, device.NF4: 140, device.Q4_K: 225, device.Q8_0: 140} {
		b := openRacing(t, false)
		r := &trial{t, b, random(9)}
		x, y := r.array(m, k, 1), r.room(device.BF16, m, n)
		w := r.array(n, k, 1).view
		if typ != device.BF16 {
			w = r.room(typ, n, k)
			raw, _ := blocks(t, typ, n, k)
			if err := b.Upload(w, raw); err != nil {
				t.Fatal(err)
			}
		}
		r.run("linear", nil, []device.View{y}, []device.View{x.view, w})
		r.read(y)
		s, simulated := cudatest.Counted("gemv16_" + typ.String())
		if !simulated {
			t.Skip("a real card does not count")
		}
		step := float64(s.Instructions) / (n / 8 * k / 32)
		// Each warp of 8 columns reads x as well, which the four of a block share in the cache.
		moved := float64(32*s.GlobalSectors-n/8*2*m*k) / float64(w.Bytes())
		t.Logf("%v: %.1f instructions for 32 terms of 8 columns; the weight's sectors are asked for %.2f times", typ, step, moved)
		if s.Launches != 1 || step > most || s.Local != 0 || typ == device.BF16 && moved > 1.25 {
			t.Errorf("%v: %d launches, %.1f instructions for 32 terms, %d uses of local memory, the weight is asked for %.2f times: want 1, at most %.0f, 0 and, for bf16, 1.25",
				typ, s.Launches, step, s.Local, moved, most)
		}
	}
}
