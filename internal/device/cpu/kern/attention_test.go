package kern

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
	"unsafe"

	"align/internal/device/cpu/feature"
)

// flashCase is rows of queries against keys in items of up to 64, with their
// packed forms.
type flashCase struct {
	d, keys      int
	q, k, v      []float32
	seen         []int
	items        []FlashItem
	o, reference guarded
	work         []float32
	keep         []any
}

func newFlashCase(p *Products, f Flash, d, keys int, size float32, seen func(row int) int) *flashCase {
	c := &flashCase{d: d, keys: keys}
	c.q, c.k, c.v = random(newRand(1), FlashRows*d), random(newRand(2), keys*d), random(newRand(3), keys*d)
	for i := range c.q {
		c.q[i] *= size
	}
	var table [MaxRows]unsafe.Pointer
	fill := func(x []float32) []float32 { // rows of f.D columns
		out := make([]float32, len(x)/d*f.D)
		for i := range len(x) / d {
			copy(out[i*f.D:], x[i*d:][:d])
		}
		return out
	}
	q, k, v := fill(c.q), fill(c.k), fill(c.v)
	panel := make([]uint32, f.D/2*FlashRows+Slack)
	for i := range FlashRows {
		table[i] = pointer(q[i*f.D:])
		c.seen = append(c.seen, seen(i))
	}
	p.PackLeft(pointer(panel), &table, FlashRows, f.D)
	c.o = newGuarded(make([]float32, FlashRows*(f.D+FlashSums)))
	reference := make([]float32, FlashRows)
	for i := range reference {
		reference[i] = float32(math.Inf(-1))
	}
	c.reference = newGuarded(reference)
	c.work = aligned(f.WorkBytes() / 4)
	c.items = make([]FlashItem, 2)
	for at := 0; at < keys; at += FlashKeys {
		n := min(FlashKeys, keys-at)
		const groups = FlashKeys / FlashGroup
		kp, vp := make([]uint32, groups*f.D/2*Cols), make([]uint32, f.D/Cols*FlashKeys/2*Cols)
		for g := range groups {
			for lane := 0; lane < Cols; lane += 16 {
				for i := range 16 {
					row := min(at+g*FlashGroup+FlashKey(lane+i), keys-1)
					table[i] = pointer(k[row*f.D:])
				}
				p.PackRows(pointer(kp[g*f.D/2*Cols+lane:]), unsafe.Pointer(&table), f.D, Stride)
			}
		}
		for col := 0; col < f.D; col += 16 {
			p.PackColumns(pointer(vp[col/Cols*FlashKeys/2*Cols+col%Cols:]), pointer(v[at*f.D+col:]), n, 4*f.D, 16, Stride)
		}
		visible := make([]int32, FlashRows)
		for i := range visible {
			visible[i] = int32(min(n, c.seen[i]-at))
		}
		c.keep = append(c.keep, panel, kp, vp, visible)
		c.items = append(c.items, FlashItem{Q: pointer(panel), K: pointer(kp), V: pointer(vp), O: pointer(c.o.slice()),
			Reference: pointer(c.reference.slice()), Seen: pointer(visible)})
	}
	c.items = append(c.items, FlashItem{}, FlashItem{})
	return c
}

func forEachFlash(t *testing.T, run func(t *testing.T, p *Products, f Flash, d int)) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, d := range []int{8, 64, 72, 128} {
			f, ok := s.Flash(d)
			if !ok && s.Level != feature.AMX {
				t.Skip("the level has no such kernel")
			} else if !ok {
				t.Fatalf("no kernel for heads of %d", d)
			}
			t.Run(fmt.Sprintf("d=%d", d), func(t *testing.T) { run(t, &s.BF16, f, d) })
		}
	})
}

func TestFlash(t *testing.T) {
	forEachFlash(t, func(t *testing.T, p *Products, f Flash, d int) {
		for _, keys := range []int{1, 5, 31, 32, 33, 100, 128, 129, 300, 512} {
			for name, seen := range map[string]func(int) int{
				"all":    func(int) int { return keys },
				"causal": func(row int) int { return max(0, keys-31+row) },
				"few":    func(row int) int { return min(keys, row/4*17) },
			} {
				for _, size := range []float32{1, 300} { // the larger one exceeds references
					c := newFlashCase(p, f, d, keys, size, seen)
					c.check(t, f, fmt.Sprintf("%d keys, %s, size %g", keys, name, size))
				}
			}
		}
	})
}

func (c *flashCase) check(t *testing.T, f Flash, name string) {
	t.Helper()
	const scale = 0.2
	f.Run(c.items, pointer(c.work), scale)
	c.o.check(t, name)
	c.reference.check(t, name)
	half := func(x float32) float64 { return float64(math.Float32frombits(uint32(round(x)) << 16)) }
	for i := range FlashRows {
		var scores []float64
		top := math.Inf(-1)
		for j := range c.seen[i] {
			var s float64
			for e := range c.d {
				s += half(c.q[i*c.d+e]) * half(c.k[j*c.d+e])
			}
			scores = append(scores, s)
			top = max(top, s)
		}
		row := c.o.slice()[i*(f.D+FlashSums):][:f.D+FlashSums]
		reference := float64(c.reference.slice()[i])
		if len(scores) == 0 != math.IsInf(reference, -1) || len(scores) > 0 && !(scale*(top-reference) <= 33*math.Ln2) {
			t.Fatalf("%s: row %d: reference %g, the largest score %g", name, i, reference, top)
		}
		var sum float64
		out, size := make([]float64, c.d), make([]float64, c.d)
		for j, s := range scores {
			w := FlashUnit * math.Exp(scale*(s-reference))
			sum += w
			for e := range out {
				out[e] += w * half(c.v[j*c.d+e])
				size[e] += w * math.Abs(half(c.v[j*c.d+e]))
			}
		}
		c.checkFinish(t, f, name, i, scale)
		for e := range FlashSums {
			if got := float64(row[f.D+e]); math.Abs(got-sum) > flashError*sum {
				t.Fatalf("%s: row %d: sum %g, want %g", name, i, got, sum)
			}
		}
		for e, want := range out {
			if got := float64(row[e]); math.Abs(got-want) > flashError*size[e]+1e-6*FlashUnit {
				t.Fatalf("%s: row %d column %d: %g, want %g", name, i, e, got, want)
			}
		}
	}
}

// checkFinish finishes the rows up to one, which is the last.
func (c *flashCase) checkFinish(t *testing.T, f Flash, name string, row int, scale float64) {
	t.Helper()
	var table [MaxRows]unsafe.Pointer
	var lse [FlashLogs]float32
	width := f.D + FlashSums
	out := newGuarded(make([]float32, (row+1)*c.d))
	for i := range row + 1 {
		table[i] = pointer(out.slice()[i*c.d:])
	}
	o := c.o.slice()
	f.Finish(pointer(o), pointer(c.reference.slice()), row+1, c.d, &table, &lse, float32(scale))
	out.check(t, name)
	if want := scale*float64(c.reference.slice()[row]) + math.Log(float64(o[row*width+f.D])/FlashUnit); !near(float64(lse[row]), want, 1e-6, 1) {
		t.Fatalf("%s: row %d: lse %g, want %g", name, row, lse[row], want)
	}
	for e := range c.d {
		want := 0.0
		if o[row*width+f.D] > 0 {
			want = float64(o[row*width+e]) / float64(o[row*width+f.D])
		}
		if got := float64(out.slice()[row*c.d+e]); !near(got, want, 1e-6, 1e-30) {
			t.Fatalf("%s: row %d column %d: %g, want %g", name, row, e, got, want)
		}
	}
}

func TestGradWeights(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if !s.HasGradWeights() {
			if s.Level == feature.AMX {
				t.Fatal("no kernel")
			}
			t.Skip("the level has no such kernel")
		}
		for panels := 1; panels <= 4; panels++ {
			for _, keys := range []int{1, 2, 7, 31, 32} {
				checkGradWeights(t, s, panels, keys)
			}
		}
	})
}

func checkGradWeights(t *testing.T, set *Set, panels, keys int) {
	t.Helper()
	const scale, key = 0.5, 5
	name := fmt.Sprintf("panels=%d keys=%d", panels, keys)
	stride := GradStride / 4
	x, y := random(newRand(1), 32*stride), random(newRand(2), 32*stride)
	rows := make([]GradPanel, panels)
	lse := random(newRand(3), panels*Cols)
	for i := range lse {
		r := &rows[i/Cols]
		lse[i] += 4
		r.Shift(i%Cols, float64(lse[i]))
		r.Delta[i%Cols] = float32(i%7) * 0.1
		r.Seen[i%Cols] = int32(min(key+keys, i*41%40))
	}
	for i := keys * stride; i < len(x); i++ { // what is not there
		x[i], y[i] = float32(math.NaN()), float32(math.NaN())
	}
	pairsStep := 16 * Stride
	p, ds := newGuarded(make([]float32, panels*keys*16+16)), newGuarded(make([]float32, panels*keys*16+16))
	pairs := newGuarded(make([]float32, panels*pairsStep/4))
	w := GradWeights{S: pointer(x), DP: pointer(y), P: pointer(p.slice()), DS: pointer(ds.slice()), Pairs: pointer(pairs.slice()),
		Rows: &rows[0], Panels: panels, Keys: keys, PairsStep: pairsStep, Key: key}
	set.GradWeights(&w, scale)
	for _, g := range []guarded{p, ds, pairs} {
		g.check(t, name)
	}
	half := func(g guarded, i int) float64 { return element(bits(g.slice()), 2, 1, i, 0) }
	for i := range panels * Cols {
		panel, column := i/Cols, i%Cols
		query := FlashKey(column)
		for k := range keys + keys%2 {
			pair := element(bits(pairs.slice()), 2, Cols, panel*pairsStep/Stride*2+k, query)
			var want, grad float64
			if k < keys && key+k < int(rows[panel].Seen[column]) {
				want = math.Exp(scale*float64(x[k*stride+i]) - float64(lse[i]))
				grad = want * (scale*float64(y[k*stride+i]) + float64(rows[panel].Delta[column]))
			}
			if k == keys {
				if pair != 0 {
					t.Fatalf("%s: query %d: the pair of the last key has %g", name, i, pair)
				}
				continue
			}
			at := (panel*keys+k)*Cols + query
			if got := half(p, at); math.Abs(got-want) > flashError*want {
				t.Fatalf("%s: key %d query %d: weight %g, want %g", name, k, i, got, want)
			}
			got := half(ds, at)
			if math.Abs(got-grad) > (flashError+0.004)*math.Abs(grad)+1e-9 {
				t.Fatalf("%s: key %d query %d: ds %g, want %g", name, k, i, got, grad)
			}
			if pair != got {
				t.Fatalf("%s: key %d query %d: ds %g in its pair, else %g", name, k, i, pair, got)
			}
		}
	}
}

// Scores that are made with the weights have the bits of those before them.
func TestGradScores(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, d := range []int{64, 128} {
			if !s.HasGradScores(d) {
				if s.Level == feature.AMX {
					t.Fatal("no kernel")
				}
				t.Skip("the level has no such kernel")
			}
			for panels := 1; panels <= GradQueries/Cols; panels++ {
				checkGradScores(t, s, d, panels)
			}
		}
	})
}

func checkGradScores(t *testing.T, set *Set, d, panels int) {
	t.Helper()
	const scale, key, keys, pairsStep = 0.1, 5, Cols, 17 * Stride
	left := func(seed int) unsafe.Pointer {
		return pointer(arranged(&set.BF16, randomPanel(seed, d/2*MaxRows, 2), d/2, MaxRows))
	}
	k, v := left(1), left(2)
	q, do := pointer(randomPanel(3, panels*d/2*Cols, 2)), pointer(randomPanel(4, panels*d/2*Cols, 2))
	rows := make([]GradPanel, panels)
	for i := range panels * Cols {
		r := &rows[i/Cols]
		r.Shift(i%Cols, float64(i%11))
		r.Delta[i%Cols], r.Seen[i%Cols] = float32(i%7)*0.1, int32(i*41%40)
	}
	want, got := newGradOut(panels, pairsStep), newGradOut(panels, pairsStep)
	x, y := aligned(GradStride/4*Cols), aligned(GradStride/4*Cols)
	step := d / 2 * Stride
	strips := []GradStrip{
		{Steps: d / 32, A: k, B: q, BStep: step, C: pointer(x), LDC: GradStride, Panels: panels},
		{Steps: d / 32, A: v, B: do, BStep: step, C: pointer(y), LDC: GradStride, Panels: panels},
	}
	set.GradStrips(strips)
	w := GradWeights{S: pointer(x), DP: pointer(y), Rows: &rows[0], Panels: panels, Keys: keys, PairsStep: pairsStep, Key: key}
	w.P, w.DS, w.Pairs = want.p(), want.ds(), want.pairs()
	set.GradWeights(&w, scale)
	sums := [][]float32{slices.Clone(x), slices.Clone(y)}
	clear(x)
	clear(y)
	strips = strips[:panels%3]
	w.P, w.DS, w.Pairs = got.p(), got.ds(), got.pairs()
	set.GradScores(d, strips, &GradScores{GradWeights: w, K: k, V: v, Q: q, DO: do, Work: pointer(aligned(GradWork / 4))}, scale)
	for i, g := range [][]float32{x, y} {
		if i < len(strips) != slices.Equal(g, sums[i]) {
			t.Errorf("d=%d panels=%d: strip %d of %d", d, panels, i, len(strips))
		}
	}
	for i, g := range got {
		name := fmt.Sprintf("d=%d panels=%d %s", d, panels, []string{"p", "ds", "pairs"}[i])
		g.check(t, name)
		if !slices.Equal(bits(g.slice()), bits(want[i].slice())) {
			t.Errorf("%s differs", name)
		}
	}
}

// gradOut is p, ds and pairs.
type gradOut [3]guarded

func newGradOut(panels, pairsStep int) (o gradOut) {
	weights := panels*Cols*16 + 16
	for i, n := range []int{weights, weights, panels * pairsStep / 4} {
		o[i] = newGuarded(make([]float32, n))
	}
	return o
}

func (o gradOut) p() unsafe.Pointer     { return pointer(o[0].slice()) }
func (o gradOut) ds() unsafe.Pointer    { return pointer(o[1].slice()) }
func (o gradOut) pairs() unsafe.Pointer { return pointer(o[2].slice()) }

// flashError bounds the relative error of the tested weights in bfloat16; over all that a
// weight may be of, one is off by 0.00533.
const flashError = 0.0051

func BenchmarkFlash(b *testing.B) {
	if !feature.Has(feature.AMX) {
		b.Skip("the machine has no tiles")
	}
	s := New(feature.AMX)
	for _, d := range []int{64, 128} {
		b.Run(fmt.Sprintf("d=%d", d), func(b *testing.B) {
			f, _ := s.Flash(d)
			c := newFlashCase(&s.BF16, f, d, 512, 1, func(int) int { return 512 })
			items := []FlashItem{{}, {}}
			for range 10 {
				items = append(items, c.items[2:6]...)
			}
			for i := range items {
				items[i].Seen = nil
			}
			items = append(items, FlashItem{}, FlashItem{})
			peak := peakRate(&s.BF16)
			var best float64
			for b.Loop() { // short runs: other work may share the machine
				start := time.Now()
				f.Run(items, pointer(c.work), 0.1)
				best = max(best, 40*4*FlashRows*FlashKeys*float64(d)/time.Since(start).Seconds()/1e9)
			}
			b.ReportMetric(best, "GFLOP/s")
			b.ReportMetric(best/peak, "of-peak")
		})
	}
}

// Strips under one configuration of the tiles have the bits of one after the other.
func TestGradStrips(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		if !s.HasGradWeights() {
			return
		}
		const panels, ldc = 3, 3*Cols + 16
		var list []GradStrip
		var sums []guarded
		var wants [][]float32
		for i, steps := range []int{1, 2, 4, 8, 1} {
			k := steps * MaxDepth
			a := arranged(&s.BF16, randomPanel(1+i, k*MaxRows, 2), k, MaxRows)
			b := randomPanel(9+i, panels*k*Cols, 2)
			before := random(newRand(3+i), MaxRows*ldc)
			g, want := newGuarded(before), slices.Clone(before)
			list = append(list, GradStrip{Steps: steps, A: pointer(a), B: pointer(b), BStep: k * Stride, C: pointer(g.slice()), LDC: 4 * ldc, Panels: 1 + i%panels, Add: i % 2})
			s.BF16.Strip(MaxRows, k, pointer(a), pointer(b), k*Stride, pointer(want), 4*ldc, i%2, 1+i%panels)
			sums, wants = append(sums, g), append(wants, want)
		}
		s.GradStrips(list)
		s.GradStrips(nil)
		for i, g := range sums {
			g.check(t, "strip")
			if !slices.Equal(g.slice(), wants[i]) {
				t.Errorf("strip %d differs", i)
			}
		}
	})
}
