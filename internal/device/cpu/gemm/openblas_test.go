//go:build linux && amd64 && !nogpu

package gemm

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"

	"github.com/ebitengine/purego"
)

// openBLAS is the peer of products in float32, which a benchmark alone opens:
// ALIGN_OPENBLAS names the file where the loader does not find it. It must know the
// processor; OPENBLAS_CORETYPE tells it one that it knows.
type openBLAS struct {
	sgemm func(order, transA, transB, m, n, k int32, alpha float32, a unsafe.Pointer, lda int32, b unsafe.Pointer, ldb int32, beta float32, c unsafe.Pointer, ldc int32)
	core  func() string
}

// The constants of cblas.h.
const (
	rowMajor   = 101
	noTrans    = 111
	transposed = 112
)

func findOpenBLAS(t testing.TB) *openBLAS {
	handle, err := purego.Dlopen(cmp.Or(os.Getenv("ALIGN_OPENBLAS"), "libopenblas.so.0"), purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		t.Skipf("no OpenBLAS: %v", err)
	}
	var o openBLAS
	var threads func(n int32)
	purego.RegisterLibFunc(&o.sgemm, handle, "cblas_sgemm")
	purego.RegisterLibFunc(&o.core, handle, "openblas_get_corename")
	purego.RegisterLibFunc(&threads, handle, "openblas_set_num_threads")
	threads(1)
	return &o
}

// run computes p, whose sides are plain.
func (o *openBLAS) run(p *Product) {
	at := func(m Matrix) (unsafe.Pointer, int32) { return m.address(0, 0), int32(m.Stride) }
	trans := func(yes bool) int32 {
		if yes {
			return transposed
		}
		return noTrans
	}
	x, ldx := at(p.X)
	w, ldw := at(p.W.Plain)
	y, ldy := at(p.Y)
	// w of NT has a row for each column of y.
	o.sgemm(rowMajor, trans(p.XAcross), trans(!p.WAcross), int32(p.M), int32(p.N), int32(p.K), p.Alpha, x, ldx, w, ldw, 0, y, ldy)
}

// BenchmarkOpenBLAS runs products in float32 in turns with OpenBLAS's on the same
// operands: peer is its processor time over ours, best over best, and peer-median that
// of the turns. A packed product has its weight packed before, which OpenBLAS does anew
// each time, as for a frozen weight it must.
func BenchmarkOpenBLAS(b *testing.B) {
	peer := findOpenBLAS(b)
	shapes := [][3]int{{512, 8192, 2048}, {512, 2048, 8192}, {1024, 768, 2048}}
	forms := []kind{{name: "nt"}, {name: "nn", across: true}, {name: "tn", across: true, xAcross: true}, {name: "nt_packed", packed: device.F32}}
	for level := feature.AVX2; level <= min(feature.Detect(), feature.AVX512); level++ {
		if !feature.Has(level) {
			continue
		}
		e := engine(b, kern.New(level), device.F32, 1)
		peer.agrees(b, e)
		for _, form := range forms {
			for _, s := range shapes {
				name := fmt.Sprintf("impl=%s/core=%s/form=%s/m=%d/n=%d/k=%d", level, peer.core(), form.name, s[0], s[1], s[2])
				b.Run(name, func(b *testing.B) { besideOpenBLAS(b, peer, e, form, s) })
			}
		}
	}
}

// denseTrial is a product whose rows lie one behind the other, as a model's do.
func denseTrial(t testing.TB, set *kern.Set, form kind, s [3]int) *Product {
	p := &newTrial(t, set, form, s[0], s[1], s[2]).p
	p.X, p.Y = dense(p.X, across(form.xAcross, s[0], s[2])), dense(p.Y, s[1])
	if form.packed == 0 {
		p.W.Plain = dense(p.W.Plain, across(form.across, s[1], s[2]))
	}
	return p
}

// across is the length of a row of an operand of so many rows and terms.
func across(yes bool, rows, terms int) int {
	if yes {
		return rows
	}
	return terms
}

// dense is m, whose rows have cols elements, without what lies between them.
func dense(m Matrix, cols int) Matrix {
	to := Matrix{Stride: cols}
	for row := 0; row < len(m.Data); row += m.Stride {
		to.Data = append(to.Data, m.Data[row:row+cols]...)
	}
	return to
}

func besideOpenBLAS(b *testing.B, peer *openBLAS, e *Engine, form kind, s [3]int) {
	ours, where := inHugePages(e, denseTrial(b, e.set, form, s))
	form.packed = 0
	theirs, _ := inHugePages(e, denseTrial(b, e.set, form, s))
	var own, other, ratios []float64
	for b.Loop() {
		start := processTime()
		if err := e.Run(ours, where); err != nil {
			b.Fatal(err)
		}
		middle := processTime()
		peer.run(theirs)
		end := processTime()
		own, other = append(own, (middle-start).Seconds()), append(other, (end-middle).Seconds())
		ratios = append(ratios, other[len(other)-1]/own[len(own)-1])
	}
	slices.Sort(ratios)
	b.ReportMetric(2*float64(s[0])*float64(s[1])*float64(s[2])/slices.Min(own)/1e9, "GFLOP/s/core")
	b.ReportMetric(slices.Min(other)/slices.Min(own), "peer")
	b.ReportMetric(ratios[len(ratios)/2], "peer-median")
}

// agrees fails where the peer has other products: it was asked for the wrong ones, or
// does not know the processor. No test runs it, for some versions crash there.
func (o *openBLAS) agrees(t testing.TB, e *Engine) {
	for _, form := range []kind{{name: "nt"}, {name: "nn", across: true}, {name: "tn", across: true, xAcross: true}} {
		p := &newTrial(t, e.set, form, 37, 64, 50).p
		if err := e.Run(p, space(e, p)); err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(p.Y.Data)
		o.run(p)
		for i, v := range want {
			if d := float64(p.Y.Data[i] - v); d > 1e-4 || d < -1e-4 {
				t.Fatalf("%s: element %d is %v, OpenBLAS has %v", form.name, i, v, p.Y.Data[i])
			}
		}
	}
}
