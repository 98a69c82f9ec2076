package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/feature"
)

// longAttention is attention over a pack whose segments and prefixes are longer
// than any block of keys.
type longAttention struct {
	*testing.T
	backend *Backend
	attr    device.Attention
}

func (a longAttention) view(values []float32, cols int) device.View {
	v := a.upload(device.F32, len(values)/cols, cols)
	copy(device.Slice[float32](v), values)
	return v
}

func (a longAttention) ints(values []int32) device.View {
	v := a.upload(device.I32, len(values), 1)
	copy(device.Slice[int32](v), values)
	return v
}

func (a longAttention) upload(t device.Type, rows, cols int) device.View {
	mem, err := a.backend.Alloc(int64(4 * rows * cols))
	if err != nil {
		a.Fatal(err)
	}
	return mem.At(0, t, rows, cols)
}

// stale is a view that holds what must not show.
func (a longAttention) stale(rows, cols int) device.View {
	v := a.upload(device.F32, rows, cols)
	for i, s := 0, device.Slice[float32](v); i < len(s); i++ {
		s[i] = float32(math.NaN())
	}
	return v
}

func (a longAttention) run(kernel string, out, in []device.View) { a.runWith(kernel, a.attr, out, in) }

func (a longAttention) runWith(kernel string, attr any, out, in []device.View) {
	k, err := a.backend.Bind(kernel, attr)
	if err != nil {
		a.Fatal(err)
	}
	if err := k(&device.Call{Out: out, In: in}); err != nil {
		a.Fatal(err)
	}
}

// longInput is q, k, v and do, and the mask vectors.
type longInput struct {
	q, k, v, do []float32
	masks       [3][]int32
}

// draw makes the input of a pack of segments; a prefix of at least one row is
// the segment before it that has none.
func draw(attr device.Attention, lengths []int, prefixed []bool) longInput {
	var in longInput
	at, prompt, promptEnd := 0, 0, 0
	for i, n := range lengths {
		from, to := 0, 0
		if prefixed[i] {
			from, to = prompt, promptEnd
		} else {
			prompt, promptEnd = at, at+n
		}
		for range n {
			for j, x := range [...]int{from, to, at} {
				in.masks[j] = append(in.masks[j], int32(x))
			}
		}
		at += n
	}
	r := rand.New(rand.NewPCG(5, 6))
	normal := func(cols int) []float32 {
		x := make([]float32, at*cols)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	q, kv := attr.Heads*attr.HeadDim, attr.KVHeads*attr.HeadDim
	in.q, in.k, in.v, in.do = normal(q), normal(kv), normal(kv), normal(q)
	return in
}

// all is o, lse, dq, dk and dv.
func (a longAttention) all(x longInput) [][]float32 {
	q, kv := a.attr.Heads*a.attr.HeadDim, a.attr.KVHeads*a.attr.HeadDim
	n := len(x.q) / q
	masks := []device.View{a.ints(x.masks[0]), a.ints(x.masks[1]), a.ints(x.masks[2])}
	in := []device.View{a.view(x.q, q), a.view(x.k, kv), a.view(x.v, kv)}
	out := []device.View{a.stale(n, q), a.stale(n, a.attr.Heads)}
	a.run("attention", out, append(slices.Clone(in), masks...))
	grads := []device.View{a.stale(n, q), a.stale(n, kv), a.stale(n, kv)}
	a.run("attention_grad", grads, append(append(in, out[0], out[1], a.view(x.do, q)), masks...))
	var values [][]float32
	for _, v := range append(out, grads...) {
		values = append(values, device.Slice[float32](v))
	}
	return values
}

// longTolerance is, of the largest magnitude of an output, some roundings of
// float32 in sums of 1300 terms; longToleranceBF16 the six rounded inputs of
// products that lead to a gradient.
const (
	longTolerance     = 4e-5
	longToleranceBF16 = 6 * bf16Rounding
)

// TestLongAttention holds attention across the borders of blocks to the
// portable kernels, and to the same bits elsewhere in a pack and over a cache.
func TestLongAttention(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has TestOddMasks and TestFarScores: the same kernels over several blocks")
	}
	for _, c := range []struct {
		name     string
		attr     device.Attention
		lengths  []int
		prefixed []bool
	}{
		{"long", device.Attention{Heads: 3, KVHeads: 1, HeadDim: 8, Scale: 0.35}, []int{600, 5, 520, 1}, []bool{false, true, true, false}},
		{"wide group", device.Attention{Heads: 24, KVHeads: 2, HeadDim: 40, Scale: 0.16}, []int{300, 5, 170, 1}, []bool{false, true, true, false}},
		{"negative scale", device.Attention{Heads: 2, KVHeads: 1, HeadDim: 64, Scale: -0.1}, []int{100, 30}, []bool{false, true}},
	} {
		x := draw(c.attr, c.lengths, c.prefixed)
		want := longAttention{t, start(t, Options{Activations: device.F32, Level: new(feature.Generic)}), c.attr}.all(x)
		forEachKind(t, func(t *testing.T, o Options) {
			if o.Activations != device.F32 {
				return
			}
			tolerance := longTolerance
			if o.Precision == device.BF16 {
				tolerance = longToleranceBF16
			}
			a := longAttention{t, start(t, o.with(2)), c.attr}
			got := a.all(x)
			for i, name := range [...]string{"o", "lse", "dq", "dk", "dv"} {
				near(t, c.name+": "+name, got[i], want[i], tolerance)
			}
			one := longAttention{t, start(t, o.with(1)), c.attr}.all(x)
			for i := range got {
				if !slices.Equal(got[i], one[i]) {
					t.Errorf("%s: output %d has other bits on one thread", c.name, i)
				}
			}
			a.checkPlace(x, got)
			a.checkCache(x, got[0], c.lengths[0])
		})
	}
}

// TestFarScores has rows whose later scores exceed the first ones by far more than
// exp can tell: they too have the same bits elsewhere in a pack and over a cache.
func TestFarScores(t *testing.T) {
	attr := device.Attention{Heads: 4, KVHeads: 2, HeadDim: 64, Scale: 8}
	lengths := []int{200, 30}
	x := draw(attr, lengths, []bool{false, true})
	forEachKind(t, func(t *testing.T, o Options) {
		if o.Activations != device.F32 {
			return
		}
		a := longAttention{t, start(t, o.with(2)), attr}
		got := a.all(x)
		for i, y := range got[0] {
			if y-y != 0 {
				t.Fatalf("element %d of o is %v", i, y)
			}
		}
		a.checkPlace(x, got)
		a.checkCache(x, got[0], lengths[0])
	})
}

func near(t *testing.T, name string, got, want []float32, tolerance float64) {
	t.Helper()
	scale := 1.0
	for _, w := range want {
		scale = max(scale, math.Abs(float64(w)))
	}
	for i, w := range want {
		if !(math.Abs(float64(got[i]-w)) <= tolerance*scale) {
			t.Errorf("%s: element %d is %v, want %v", name, i, got[i], w)
			return
		}
	}
}

// checkPlace runs the pack behind a document of 77 rows.
func (a longAttention) checkPlace(x longInput, want [][]float32) {
	const shift = 77
	before := draw(a.attr, []int{shift}, []bool{false})
	y := longInput{
		q: append(before.q, x.q...), k: append(before.k, x.k...), v: append(before.v, x.v...), do: append(before.do, x.do...),
		masks: before.masks,
	}
	for i, mask := range x.masks {
		for t, m := range mask {
			if i == 2 || x.masks[1][t] > 0 {
				m += shift
			}
			y.masks[i] = append(y.masks[i], m)
		}
	}
	for i, got := range a.all(y) {
		if !slices.Equal(got[len(got)-len(want[i]):], want[i]) {
			a.Errorf("output %d has other bits behind another document", i)
		}
	}
}

// checkCache attends with the last rows of the first segment over pages in
// descending order.
func (a longAttention) checkCache(x longInput, o []float32, n int) {
	rows := min(70, n)
	q, kv := a.attr.Heads*a.attr.HeadDim, a.attr.KVHeads*a.attr.HeadDim
	count := pagesOf(n)
	slots := make([]int32, n)
	for t := range slots {
		slots[t] = int32((count-1-t/device.PageRows)*device.PageRows + t%device.PageRows)
	}
	cache := func(x []float32, values bool) device.View {
		cache := a.upload(device.F32, count*device.PageRows, kv)
		a.runWith("cache_write", device.Cache{HeadDim: a.attr.HeadDim, Values: values}, []device.View{cache}, []device.View{a.view(x[:n*kv], kv), a.ints(slots)})
		return cache
	}
	var own, pages []int32
	for t := n - rows; t < n; t++ {
		own = append(own, int32(t+1))
	}
	for i := range count {
		pages = append(pages, int32(count-1-i))
	}
	table := a.ints(pages)
	table.Rows, table.Cols = 1, count
	out := a.upload(device.F32, rows, q)
	a.run("attention_cached", []device.View{out}, []device.View{
		a.view(x.q[(n-rows)*q:n*q], q), cache(x.k, false), cache(x.v, true), a.ints(make([]int32, rows)), a.ints(own), table, a.ints([]int32{0}),
	})
	if !slices.Equal(device.Slice[float32](out), o[(n-rows)*q:n*q]) {
		a.Error("rows over a cache have other bits than in the pack")
	}
}

// TestOddMasks has rows that see no key, or none of their segment, and keys that no row
// sees: their outputs and gradients are 0, whatever was there before. And it has rows
// with a prefix behind them.
func TestOddMasks(t *testing.T) {
	attr := device.Attention{Heads: 4, KVHeads: 2, HeadDim: 64, Scale: 0.125}
	x := draw(attr, []int{100, 70, 300}, []bool{false, true, false})
	for i := 100; i < 300; i++ { // of the second segment and of the third
		x.masks[2][i] = 290
	}
	holdMasks(t, attr, x)
	x = draw(attr, []int{100, 70, 300}, []bool{false, true, false})
	for i := range 50 {
		x.masks[0][i], x.masks[1][i] = 120, 450
	}
	holdMasks(t, attr, x)
}

func holdMasks(t *testing.T, attr device.Attention, x longInput) {
	want := longAttention{t, start(t, Options{Activations: device.F32, Level: new(feature.Generic)}), attr}.all(x)
	forEachKind(t, func(t *testing.T, o Options) {
		if o.Activations != device.F32 {
			return
		}
		tolerance := longTolerance
		if o.Precision == device.BF16 {
			tolerance = longToleranceBF16
		}
		a := longAttention{t, start(t, o.with(2)), attr}
		for i, got := range a.all(x) {
			if i != 1 { // lse of -Inf has no distance
				near(t, [...]string{"o", "lse", "dq", "dk", "dv"}[i], got, want[i], tolerance)
			}
		}
	})
}

// TestAttentionKeepsNaN: a token of which something became NaN shows in every row
// that sees it, and in no other segment; an element of q shows in its own row.
func TestAttentionKeepsNaN(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has TestOddMasks: the same kernels over more rows")
	}
	const rows = 140
	for _, d := range []int{8, 64} {
		attr := device.Attention{Heads: 2, KVHeads: 1, HeadDim: d, Scale: 0.35}
		forEachKind(t, func(t *testing.T, o Options) {
			if o.Activations != device.F32 {
				return
			}
			b := start(t, o.with(2))
			for _, bad := range []int{0, 1, 70} {
				for which, name := range [...]string{"q", "k", "v"} {
					x := draw(attr, []int{rows, 40}, []bool{false, false})
					values := [...][]float32{x.q, x.k, x.v}[which]
					values[len(values)/(rows+40)*bad+3] = float32(math.NaN())
					got := longAttention{t, b, attr}.all(x)
					last := rows
					if name == "q" {
						last = bad + 1
					}
					for _, output := range [...]struct {
						name   string
						values []float32
					}{{"o", got[0]}, {"dq", got[2]}} {
						for row := range rows + 40 {
							has := slices.ContainsFunc(output.values[row*2*d:][:2*d], func(y float32) bool { return y != y })
							if row >= bad && row < last && !has || row >= rows && has {
								t.Fatalf("d=%d, NaN in %s of row %d: row %d of %s has one: %v", d, name, bad, row, output.name, has)
							}
						}
					}
				}
			}
		})
	}
}
