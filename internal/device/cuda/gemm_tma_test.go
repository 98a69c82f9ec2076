//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// newTMACase is a product by gemm_tma.cu.
func newTMACase(kind, shape string, m, n, k, r int) *gemmCase {
	g := newWgmmaCase(kind, shape, m, n, k, r)
	stages := 6
	if shape == "wide" {
		stages = 4
	}
	g.by, g.prefix, g.shared = 288, "tma", stages*(128*(g.rows+g.cols)+16)+1024
	return g
}

// openBulk is a Hopper card whose driver reads the text of gemm_tma.cu.
func openBulk(t *testing.T) *cudatest.Card {
	t.Helper()
	c := cudatest.OpenTarget(t, cudatest.Hopper)
	if c.Version() < 12030 {
		t.Skipf("the driver is for CUDA %v: 12.3 is the first that reads PTX 8.3", c.Version())
	}
	return c
}

// fed is the product on the card by the given text of gemm_tma.cu.
func (g *gemmCase) fed(t *testing.T, c *cudatest.Card, ptx string) ([]float32, error) {
	t.Helper()
	y := cudatest.Upload(t, c, g.before)
	var maps []byte
	for _, m := range []matrix{g.x, g.w, g.u, g.v} {
		at := cudatest.Upload(t, c, m.raw).Address
		c.Do(t, func() error {
			if m.rows*m.cols == 0 {
				maps = append(maps, make([]byte, driver.TensorMapBytes)...)
				return nil
			}
			raw, err := c.TensorMap(driver.Boxes{Address: at, Rows: m.rows, Columns: m.cols, Stride: 2 * m.ld, BoxRows: 64, BoxColumns: 64})
			maps = append(maps, raw...)
			return err
		})
	}
	at := cudatest.Upload(t, c, maps).Address
	side := func(i int) driver.Arg { return driver.U64(at + uint64(i*driver.TensorMapBytes)) }
	err := c.TryRun(ptx, g.entry(), line(ceil(g.m, g.rows)*ceil(g.n, g.cols)), line(g.by), g.shared,
		side(0), side(1), side(2), side(3), driver.Ptr(y), driver.Ptr(cudatest.Upload(t, c, g.bias)),
		integer(g.n), integer(g.m), integer(g.n), integer(g.k), integer(g.r), driver.F32(gemmAlpha), integer(1), integer(max(1, g.k)), integer(int(device.F32)))
	if err != nil {
		return nil, err
	}
	return cudatest.Download[float32](t, c, y, g.m*g.n), nil
}

// Products fed by the copy engine have the bits of those that threads feed, and come to
// what float64 makes of them.
func TestTMAHasTheBitsOfWgmma(t *testing.T) {
	const tolerance = 1e-4
	for _, kind := range []string{"nt", "nn", "tn"} {
		for _, shape := range []string{"wide", "square"} {
			for _, s := range [][4]int{{1, 8, 5, 3}, {130, 264, 200, 16}, {200, 136, 33, 0}, {63, 16, 0, 72}, {64, 128, 520, 8}, {129, 8, 1, 1}} {
				c := openBulk(t)
				g := newTMACase(kind, shape, s[0], s[1], s[2], s[3])
				got, err := g.fed(t, c, ptxOf(t, "gemm_tma"))
				if err != nil {
					t.Fatal(err, c.Fault())
				}
				want, err := newWgmmaCase(kind, shape, s[0], s[1], s[2], s[3]).run(t, c, ptxOf(t, "gemm_sm90"))
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s %v: the bits differ by up to %g", g.entry(), s, distance(widened(got), widened(want)))
				}
				if d := distance(widened(got), g.want()); d > tolerance {
					t.Errorf("%s %v: off by %g", g.entry(), s, d)
				}
			}
		}
	}
}
