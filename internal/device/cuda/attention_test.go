//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// attentionCase is a pack of rows and its heads: bf16 rows of a padded width.
type attentionCase struct {
	name                    string
	rows, heads, kv, d      int
	width                   int
	start, end, segment     []int32 // the mask vectors
	q, k, v, do             matrix
	o, lse, dq, dk, dv      []float64
	c                       *cudatest.Card
	aq, ak, av, ado         driver.Arg
	maskStart, maskEnd, seg driver.Arg
}

// newAttentionCase cuts the rows at the given places into documents; with a
// prompt, all documents but the first see the first as well.
func newAttentionCase(t *testing.T, rows, heads, kv, d, width int, cuts []int, prompt bool) *attentionCase {
	t.Helper()
	return newAttentionCaseOn(t, cudatest.Ampere, rows, heads, kv, d, width, cuts, prompt)
}

func newAttentionCaseOn(t *testing.T, target cudatest.Target, rows, heads, kv, d, width int, cuts []int, prompt bool) *attentionCase {
	t.Helper()
	a := &attentionCase{name: fmt.Sprintf("T%d,H%d,K%d,D%d", rows, heads, kv, d), rows: rows, heads: heads, kv: kv, d: d, width: width}
	begin := 0
	for i := range rows {
		for _, cut := range cuts {
			if i == cut {
				begin = i
			}
		}
		end := 0
		if prompt && begin > 0 {
			end = cuts[0]
		}
		a.start, a.end, a.segment = append(a.start, 0), append(a.end, int32(end)), append(a.segment, int32(begin))
	}
	rng := random(uint64(rows + d))
	side := func(heads int) matrix {
		m := newMatrix(rng, rows*heads, width)
		for i := range m.raw {
			if i%width >= d {
				m.raw[i] = 0
			}
		}
		return m
	}
	a.q, a.k, a.v, a.do = side(heads), side(kv), side(kv), side(heads)
	a.oracle()
	a.c = cudatest.OpenTarget(t, target)
	up := func(x []uint16) driver.Arg { return driver.Ptr(cudatest.Upload(t, a.c, x)) }
	a.aq, a.ak, a.av, a.ado = up(a.q.raw), up(a.k.raw), up(a.v.raw), up(a.do.raw)
	mask := func(x []int32) driver.Arg { return driver.Ptr(cudatest.Upload(t, a.c, x)) }
	a.maskStart, a.maskEnd, a.seg = mask(a.start), mask(a.end), mask(a.segment)
	return a
}

func (a *attentionCase) scale() float64 { return 1 / math.Sqrt(float64(a.d)) }

func (a *attentionCase) sees(i, j int) bool {
	return int(a.start[i]) <= j && j < int(a.end[i]) || int(a.segment[i]) <= j && j <= i
}

// oracle is attention and its gradient in float64.
func (a *attentionCase) oracle() {
	n, d := a.rows, a.d
	a.o, a.lse, a.dq = make([]float64, n*a.heads*d), make([]float64, n*a.heads), make([]float64, n*a.heads*d)
	a.dk, a.dv = make([]float64, n*a.kv*d), make([]float64, n*a.kv*d)
	for i := range n {
		for h := range a.heads {
			a.row(i, h, h/(a.heads/a.kv))
		}
	}
}

func (a *attentionCase) row(i, h, kv int) {
	dot := func(x matrix, r int, y matrix, s int) (sum float64) {
		for c := range a.d {
			sum += x.at(r, c, false) * y.at(s, c, false)
		}
		return sum
	}
	q, w, sum := i*a.heads+h, make([]float64, a.rows), 0.0
	for j := range a.rows {
		if a.sees(i, j) {
			w[j] = math.Exp(dot(a.q, q, a.k, j*a.kv+kv) * a.scale())
			sum += w[j]
		}
	}
	a.lse[q] = math.Log(sum)
	delta, dp := 0.0, make([]float64, a.rows)
	for j := range w {
		w[j] /= sum
		dp[j] = dot(a.do, q, a.v, j*a.kv+kv)
		delta += w[j] * dp[j]
	}
	for j, p := range w {
		ds, key := p*(dp[j]-delta)*a.scale(), j*a.kv+kv
		for c := range a.d {
			a.o[q*a.d+c] += p * a.v.at(key, c, false)
			a.dv[key*a.d+c] += p * a.do.at(q, c, false)
			a.dq[q*a.d+c] += ds * a.k.at(key, c, false)
			a.dk[key*a.d+c] += ds * a.q.at(q, c, false)
		}
	}
}

// sizes are the arguments that all entries end with.
func (a *attentionCase) sizes() []driver.Arg {
	return []driver.Arg{integer(a.rows), integer(a.heads), integer(a.kv), integer(a.d), driver.F32(float32(a.scale())), integer(int(device.F32))}
}

func (a *attentionCase) run(t *testing.T, file, entry string, heads, tiles, shared int, args ...driver.Arg) string {
	t.Helper()
	entry = fmt.Sprintf("%s_%d", entry, a.width)
	a.c.Run(t, ptxOf(t, file), entry, driver.Dim{X: ceil(a.rows, 64), Y: heads, Z: 1}, line(128), tiles*128*a.width+shared, append(args, a.sizes()...)...)
	return entry
}

// roundings bounds an error by the largest value: bf16 weights of a softmax, and
// what they lead to.
const roundings = 0.006

func (a *attentionCase) compare(t *testing.T, what string, b *driver.Buffer, want []float64) {
	t.Helper()
	got := cudatest.Download[float32](t, a.c, b, len(want))
	if d := distance(widened(got), want); d > roundings*max(1, largest(want)) {
		t.Errorf("%s: %s is off by %g of %g", a.name, what, d, largest(want))
	}
}

func (a *attentionCase) check(t *testing.T, l map[string]limits) {
	t.Helper()
	alloc := func(n int) *driver.Buffer { return cudatest.Alloc[float32](t, a.c, n) }
	o, lse := alloc(len(a.o)), alloc(len(a.lse))
	forward := a.run(t, "attention", "attention", a.heads, 4, 0, driver.Ptr(o), driver.Ptr(lse), driver.U64(0), a.aq, a.ak, a.av, a.maskStart, a.maskEnd, a.seg)
	a.compare(t, "o", o, a.o)
	a.compare(t, "lse", lse, a.lse)
	delta, spans := alloc(len(a.lse)), cudatest.Alloc[int32](t, a.c, a.rows+1)
	grads := make([]float32, a.rows*a.heads*a.d)
	for i := range grads {
		grads[i] = float32(a.do.at(i/a.d, i%a.d, false))
	}
	a.c.Run(t, ptxOf(t, "attention_grad"), "attention_delta_f32", line(ceil(len(a.lse), 8)), line(256), 0,
		driver.Ptr(delta), driver.Ptr(o), driver.Ptr(cudatest.Upload(t, a.c, grads)), integer(len(a.lse)), integer(a.d))
	a.c.Run(t, ptxOf(t, "attention_grad"), "attention_spans", line(1), line(256), 0, driver.Ptr(spans), a.maskStart, a.maskEnd, a.seg, integer(a.rows))
	dq, dk, dv := alloc(len(a.dq)), alloc(len(a.dk)), alloc(len(a.dv))
	keys := a.run(t, "attention_grad", "attention_keys_grad", a.kv, 4, 512, driver.Ptr(dk), driver.Ptr(dv), a.aq, a.ak, a.av, a.ado,
		driver.Ptr(lse), driver.Ptr(delta), a.maskStart, a.maskEnd, a.seg, driver.Ptr(spans))
	queries := a.run(t, "attention_grad", "attention_queries_grad", a.heads, 6, 0, driver.Ptr(dq), a.aq, a.ak, a.av, a.ado,
		driver.Ptr(lse), driver.Ptr(delta), a.maskStart, a.maskEnd, a.seg)
	a.compare(t, "dq", dq, a.dq)
	a.compare(t, "dk", dk, a.dk)
	a.compare(t, "dv", dv, a.dv)
	for _, entry := range []string{forward, keys, queries} {
		if want, known := l[entry]; known {
			want.holds(t, a.c, entry)
		}
	}
}

func TestAttentionAgainstFloat64(t *testing.T) {
	newAttentionCase(t, 1, 1, 1, 16, 16, nil, false).check(t, nil)
	newAttentionCase(t, 63, 2, 1, 5, 16, nil, false).check(t, nil)
	newAttentionCase(t, 64, 2, 2, 16, 16, nil, false).check(t, nil)
	newAttentionCase(t, 65, 2, 1, 30, 32, []int{20, 21}, false).check(t, nil)
	newAttentionCase(t, 100, 4, 2, 64, 64, []int{33}, false).check(t, nil)
	newAttentionCase(t, 170, 2, 1, 40, 64, []int{70, 90, 160}, true).check(t, nil)
	newAttentionCase(t, 130, 2, 1, 128, 128, []int{3, 70}, true).check(t, nil)
}

// Without masks that cut tiles, the matrix units get most of the instructions.
func TestAttentionCounters(t *testing.T) {
	newAttentionCase(t, 512, 1, 1, 128, 128, nil, false).check(t, map[string]limits{
		"attention_128": {1, 7.1}, "attention_keys_grad_128": {1, 5.8}, "attention_queries_grad_128": {1, 5.3},
	})
}

// On wgmma, attention has the values and, where both instructions add alike, the bits
// that it has on mma.sync.
func TestWgmmaAttention(t *testing.T) {
	for _, c := range []struct {
		rows, heads, kv, d, width int
		cuts                      []int
		prompt                    bool
	}{
		{1, 1, 1, 128, 128, nil, false},
		{65, 2, 1, 64, 64, []int{20, 21}, false},
		{200, 1, 1, 50, 64, []int{70, 90, 160}, true},
		{130, 2, 1, 128, 128, []int{3, 70}, true},
		{260, 1, 1, 128, 128, nil, false},
	} {
		a := newAttentionCaseOn(t, cudatest.Hopper, c.rows, c.heads, c.kv, c.d, c.width, c.cuts, c.prompt)
		alloc := func(n int) *driver.Buffer { return cudatest.Alloc[float32](t, a.c, n) }
		run := func(file, entry string, tiles, lost int) (o, lse *driver.Buffer) {
			o, lse = alloc(len(a.o)), alloc(len(a.lse))
			a.run(t, file, entry, a.heads, tiles, lost, driver.Ptr(o), driver.Ptr(lse), driver.U64(0), a.aq, a.ak, a.av, a.maskStart, a.maskEnd, a.seg)
			return o, lse
		}
		o, lse := run("attention_sm90", "attention_wgmma", 6, 1024)
		a.compare(t, "o", o, a.o)
		a.compare(t, "lse", lse, a.lse)
		same, _ := run("attention", "attention", 4, 0)
		got, want := cudatest.Download[float32](t, a.c, o, len(a.o)), cudatest.Download[float32](t, a.c, same, len(a.o))
		if d := distance(widened(got), widened(want)); a.c.MayDiffer() {
			t.Logf("%s: differs from mma.sync's by up to %g", a.name, d)
		} else if !slices.Equal(got, want) {
			t.Errorf("%s: the bits differ from mma.sync's by up to %g", a.name, d)
		}
	}
}

// So has its gradient.
func TestWgmmaAttentionGrad(t *testing.T) {
	for _, c := range []struct {
		rows, heads, kv, d, width int
		cuts                      []int
		prompt                    bool
	}{
		{1, 1, 1, 128, 128, nil, false},
		{65, 2, 1, 64, 64, []int{20, 21}, false},
		{200, 1, 1, 50, 64, []int{70, 90, 160}, true},
		{130, 2, 1, 128, 128, []int{3, 70}, true},
	} {
		a := newAttentionCaseOn(t, cudatest.Hopper, c.rows, c.heads, c.kv, c.d, c.width, c.cuts, c.prompt)
		lse, delta := a.sums(t)
		spans := a.spans(t)
		run := func(file, of string, lost int) (all []float32) {
			alloc := func(n int) *driver.Buffer { return cudatest.Alloc[float32](t, a.c, n) }
			dq, dk, dv := alloc(len(a.dq)), alloc(len(a.dk)), alloc(len(a.dv))
			a.run(t, file, "attention_queries_grad"+of, a.heads, 6, lost, driver.Ptr(dq), a.aq, a.ak, a.av, a.ado, lse, delta, a.maskStart, a.maskEnd, a.seg)
			a.run(t, file, "attention_keys_grad"+of, a.kv, 4, 512+lost, driver.Ptr(dk), driver.Ptr(dv), a.aq, a.ak, a.av, a.ado, lse, delta, a.maskStart, a.maskEnd, a.seg, spans)
			a.compare(t, "dq", dq, a.dq)
			a.compare(t, "dk", dk, a.dk)
			a.compare(t, "dv", dv, a.dv)
			for _, b := range []*driver.Buffer{dq, dk, dv} {
				all = append(all, cudatest.Download[float32](t, a.c, b, b.Size/4)...)
			}
			return all
		}
		got, want := run("attention_grad_sm90", "_wgmma", 1024), run("attention_grad", "", 0)
		if d := distance(widened(got), widened(want)); a.c.MayDiffer() {
			t.Logf("%s: differs from mma.sync's by up to %g", a.name, d)
		} else if !slices.Equal(got, want) {
			t.Errorf("%s: the bits differ from mma.sync's by up to %g", a.name, d)
		}
	}
}

// spans is the list of the case's spans.
func (a *attentionCase) spans(t *testing.T) driver.Arg {
	t.Helper()
	spans := driver.Ptr(cudatest.Alloc[int32](t, a.c, a.rows+1))
	a.c.Run(t, ptxOf(t, "attention_grad"), "attention_spans", line(1), line(256), 0, spans, a.maskStart, a.maskEnd, a.seg, integer(a.rows))
	return spans
}

// sums are lse and delta of the case, as the forward pass leaves them.
func (a *attentionCase) sums(t *testing.T) (lse, delta driver.Arg) {
	t.Helper()
	narrow := func(x []float64) driver.Arg {
		out := make([]float32, len(x))
		for i, v := range x {
			out[i] = float32(v)
		}
		return driver.Ptr(cudatest.Upload(t, a.c, out))
	}
	sums := make([]float64, len(a.lse))
	for i := range a.o {
		sums[i/a.d] += a.o[i] * a.do.at(i/a.d, i%a.d, false)
	}
	return narrow(a.lse), narrow(sums)
}

// A tile of 64 keys takes dq's threads few instructions beside its 20 products, one
// of 32 queries those of dk and dv beside as many.
func TestWgmmaAttentionGradCounters(t *testing.T) {
	a := newAttentionCaseOn(t, cudatest.Hopper, 512, 1, 1, 128, 128, nil, false)
	lse, delta := a.sums(t)
	entry := a.run(t, "attention_grad_sm90", "attention_queries_grad_wgmma", 1, 6, 1024, driver.Ptr(cudatest.Alloc[float32](t, a.c, len(a.dq))),
		a.aq, a.ak, a.av, a.ado, lse, delta, a.maskStart, a.maskEnd, a.seg)
	limits{1, 29.6}.holds(t, a.c, entry)
	dk, dv := cudatest.Alloc[float32](t, a.c, len(a.dk)), cudatest.Alloc[float32](t, a.c, len(a.dv))
	entry = a.run(t, "attention_grad_sm90", "attention_keys_grad_wgmma", 1, 4, 512+1024, driver.Ptr(dk), driver.Ptr(dv),
		a.aq, a.ak, a.av, a.ado, lse, delta, a.maskStart, a.maskEnd, a.seg, a.spans(t))
	limits{1, 22.2}.holds(t, a.c, entry)
}

// A tile of 64 keys, 12 products, takes the threads few instructions beside the
// softmax, and no bank conflicts.
func TestWgmmaAttentionCounters(t *testing.T) {
	a := newAttentionCaseOn(t, cudatest.Hopper, 512, 1, 1, 128, 128, nil, false)
	o, lse := cudatest.Alloc[float32](t, a.c, len(a.o)), cudatest.Alloc[float32](t, a.c, len(a.lse))
	entry := a.run(t, "attention_sm90", "attention_wgmma", 1, 6, 1024, driver.Ptr(o), driver.Ptr(lse), driver.U64(0), a.aq, a.ak, a.av, a.maskStart, a.maskEnd, a.seg)
	limits{1, 52.5}.holds(t, a.c, entry)
}
