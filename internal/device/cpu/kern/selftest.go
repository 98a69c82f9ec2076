package kern

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// selfTestTolerance bounds float32 roundings in sums of selfTestSize terms of
// size 1, summed in any order.
const selfTestTolerance = 1e-4

// selfTestSize is not a multiple of any register's width.
const selfTestSize = 45

// SelfTest runs every function of s once on small operands and compares it with
// its twin in Go. It takes a few milliseconds: a program that chose its
// level by what the processor says can make sure before it trusts the results.
func (s *Set) SelfTest() error {
	twin := generic()
	var errs []error
	fail := func(what string, got, want []float32) {
		if err := differ(what, got, want); err != nil {
			errs = append(errs, fmt.Errorf("kern: level %s: %w", s.Level, err))
		}
	}
	for rows := 1; rows <= s.F32.Rows; rows++ {
		fail(fmt.Sprintf("float32 tile of %d rows", rows), trialTile(&s.F32, rows), trialTile(&twin.F32, rows))
	}
	for rows := 1; rows <= s.BF16.Rows; rows++ {
		fail(fmt.Sprintf("bfloat16 tile of %d rows", rows), trialTile(&s.BF16, rows), trialTile(&twin.BF16, rows))
	}
	for rows := range s.F32.Eager {
		for _, p := range []*Products{&s.F32, &s.BF16} {
			if eager := p.eager(); eager.Tile[rows] != nil {
				fail(fmt.Sprintf("eager tile of %d rows", rows), trialTile(&eager, rows), trialTile(p, rows))
			}
		}
	}
	got, want := s.trialVectors(), twin.trialVectors()
	for i := range got {
		fail(got[i].name, got[i].values, want[i].values)
	}
	for _, f := range s.flash {
		got, want := s.trialFlash(f)
		fail(fmt.Sprintf("attention of %d columns", f.D), got, want)
	}
	for _, p := range []*Products{&s.F32, &s.BF16} {
		for rows := 1; p.HasPlain() && rows <= p.Rows; rows++ {
			got, want := p.trialPlain(rows)
			fail(fmt.Sprintf("plain tile of %d rows", rows), got, want)
		}
		for rows := range p.sweep {
			if p.HasSweep(rows) {
				got, want := p.trialSweep(rows, false)
				fail(fmt.Sprintf("sweep of %d rows", rows), got, want)
			}
			if p.HasSweepRows(rows) {
				got, want := p.trialSweep(rows, true)
				fail(fmt.Sprintf("sweep of %d plain rows", rows), got, want)
			}
		}
		if p.Thin != nil {
			got, want := p.trialThin()
			fail("thin product", got, want)
		}
		if p.KeepPanel != nil {
			got, want := p.trialPanel()
			fail("panel under a mask", got, want)
		}
		if p.Outer != nil {
			got, want := p.trialOuter()
			fail("sums over rows", got, want)
		}
	}
	if s.BF16.Turn != nil {
		got, want := s.BF16.trialTurn()
		fail("turned product", got, want)
	}
	for _, d := range s.directTrials() {
		for _, half := range []bool{false, true} {
			if half && d.Pack == nil {
				continue
			}
			got, want := d.run(twin, half)
			fail("direct product of "+d.name, got, want)
		}
		if d.Span != nil {
			got, want := d.runSpan(&s.BF16)
			fail("span of "+d.name, got, want)
		}
		if d.Few != nil {
			got, want := d.runFew(twin)
			fail("few rows and blocks of "+d.name, got, want)
		}
	}
	if s.HasWeighing() {
		got, want := s.trialWeighing()
		fail("attention's weights", got, want)
	}
	if s.HasGradWeights() {
		got, want := s.trialGradWeights()
		fail("attention's gradient", got, want)
	}
	return errors.Join(errs...)
}

// trialGradWeights is ds with weights of 1, which is do v' rounded.
func (s *Set) trialGradWeights() (got, want []float32) {
	const keys = 5
	scores, dp := make([]float32, 6*GradStride/4), wave(6*GradStride/4, 1)
	var rows GradPanel
	for i := range Cols {
		rows.Shift(i, 0)
		rows.Seen[i] = keys
	}
	p, ds, pairs := make([]uint32, (keys+1)*16), make([]uint32, (keys+1)*16), make([]uint32, 3*Cols)
	s.GradWeights(&GradWeights{
		S: unsafe.Pointer(&scores[0]), DP: unsafe.Pointer(&dp[0]), P: unsafe.Pointer(&p[0]), DS: unsafe.Pointer(&ds[0]),
		Pairs: unsafe.Pointer(&pairs[0]), Rows: &rows, Panels: 1, Keys: keys, PairsStep: 3 * Stride,
	}, 1)
	for i := range keys * Cols {
		key, column := i/Cols, i%Cols
		query := FlashKey(column)
		word := ds[(key*Cols+query)/2] >> (query % 2 * 16)
		got = append(got, math.Float32frombits(word<<16))
		want = append(want, math.Float32frombits(uint32(round(dp[key*GradStride/4+column]))<<16))
	}
	return got, want
}

// trialFlash is attention with weights of 1, and the sums that it should give.
func (s *Set) trialFlash(f Flash) (got, want []float32) {
	zeros, work := make([]uint32, f.D/2*FlashKeys), make([]float32, f.WorkBytes()/4)
	values, v := make([]uint32, f.D/2*FlashKeys), wave(f.D*FlashKeys, 1)
	for col := 0; col < f.D; col += s.BF16.Lanes {
		to := values[col/Cols*FlashKeys/2*Cols+col%Cols:]
		s.BF16.PackColumns(unsafe.Pointer(&to[0]), unsafe.Pointer(&v[col]), FlashKeys, 4*f.D, s.BF16.Lanes, Stride)
	}
	width := f.D + FlashSums
	out, reference := make([]float32, FlashRows*width), make([]float32, FlashRows)
	item := FlashItem{
		Q: unsafe.Pointer(&zeros[0]), K: unsafe.Pointer(&zeros[0]), V: unsafe.Pointer(&values[0]),
		O: unsafe.Pointer(&out[0]), Reference: unsafe.Pointer(&reference[0]),
	}
	f.Run([]FlashItem{{}, {}, item, {}, {}}, unsafe.Pointer(&work[0]), 1)
	for i := range out {
		out[i] /= FlashUnit
	}
	want = make([]float32, len(out))
	for i := range want {
		if i%width >= f.D {
			want[i] = FlashKeys
			continue
		}
		for key := range FlashKeys {
			want[i] += math.Float32frombits(uint32(round(v[key*f.D+i%width])) << 16)
		}
	}
	return out, want
}

// differ names the first element that is not near its twin.
func differ(what string, got, want []float32) error {
	for i, w := range want {
		if d := math.Abs(float64(got[i] - w)); !(d <= selfTestTolerance*max(1, math.Abs(float64(w)))) {
			return fmt.Errorf("%s gives %g at %d, want %g", what, got[i], i, w)
		}
	}
	return nil
}

// wave is n numbers between -1 and 1 without a period.
func wave(n int, phase float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(float64(i)*1.7 + phase))
	}
	return x
}

// eager is p with its eager tiles alone.
func (p *Products) eager() Products {
	e := *p
	e.Tile = p.Eager
	return e
}

// trialTile packs rows of x and 32 rows of w and multiplies them.
func trialTile(p *Products, rows int) []float32 {
	const k = selfTestSize
	words := (k + p.PerWord - 1) / p.PerWord
	a, b, c := make([]float32, p.LeftWords(words)*rows+Slack), make([]float32, words*Cols), wave(rows*Cols, 3)
	left, right := wave(rows*k, 1), wave(Cols*k, 2)
	var table [MaxRows]unsafe.Pointer
	for i := range rows {
		table[i] = unsafe.Pointer(&left[i*k])
	}
	p.PackLeft(first(a, 1), &table, rows, k)
	for lane := 0; lane < Cols; lane += p.Lanes {
		for i := range MaxLanes {
			table[i] = unsafe.Pointer(&right[min(lane+i, Cols-1)*k])
		}
		p.PackRows(unsafe.Pointer(&b[lane]), unsafe.Pointer(&table), k, Stride)
	}
	p.Tile[rows](words, first(a, 1), first(b, 1), first(c, 1), Stride, 0.5, 1, nil)
	return c
}

// trialResult is what one vector function gave.
type trialResult struct {
	name   string
	values []float32
}

func (s *Set) trialVectors() []trialResult {
	const n = selfTestSize
	x, y, z := wave(n, 1), wave(n, 2), wave(n, 3)
	var all []trialResult
	try := func(name string, run func(out []float32) []float32) {
		out := wave(n, 4)
		all = append(all, trialResult{name, append(out, run(out)...)})
	}
	try("Max", func([]float32) []float32 { return []float32{s.Max(x)} })
	try("Dot", func([]float32) []float32 { return []float32{s.Dot(x, y)} })
	try("Dot3", func([]float32) []float32 { return []float32{s.Dot3(x, y, z)} })
	try("SumSquares", func([]float32) []float32 { return []float32{float32(s.SumSquares(x))} })
	try("ExpSum", func(out []float32) []float32 { return []float32{s.ExpSum(out, x, 3, 1)} })
	try("ExpMoments", func([]float32) []float32 {
		sum, moment := s.ExpMoments(x, 3, 1)
		return []float32{sum, moment}
	})
	try("SoftmaxGrad", func(out []float32) []float32 { s.SoftmaxGrad(out, x, y, 0.5, 2); return nil })
	try("Scale", func(out []float32) []float32 { s.Scale(out, x, 3); return nil })
	try("Add", func(out []float32) []float32 { s.Add(out, x, y); return nil })
	try("Axpy", func(out []float32) []float32 { s.Axpy(out, x, 3); return nil })
	try("MulAdd", func(out []float32) []float32 { s.MulAdd(out, x, y, 3); return nil })
	try("RMSNorm", func(out []float32) []float32 { return []float32{float32(s.RMSNorm(out, x, y, 1e-5))} })
	try("RMSNormGrad", func(out []float32) []float32 { return []float32{float32(s.RMSNormGrad(out, x, y, z, 1e-5))} })
	try("ColumnSums", func(out []float32) []float32 {
		sums := make([]float64, 100)
		s.ColumnSums(sums, wave(300, 5), 2, 150)
		s.NormColumns(sums, wave(300, 5), wave(300, 6), []float64{2, 3}, 150)
		for _, x := range sums {
			out = append(out, float32(x))
		}
		return out[n:]
	})
	try("SwiGLU", func(out []float32) []float32 { s.SwiGLU(out, x, y); return nil })
	try("SwiGLUGrad", func(out []float32) []float32 { du := make([]float32, n); s.SwiGLUGrad(out, du, x, y, z); return du })
	try("HalfGates", func([]float32) []float32 { return []float32{s.trialHalfGates(x, y)} })
	try("Rope", func(out []float32) []float32 { s.Rope(out[:n-1], x[:n-1], y[:n/2], z[:n/2], 1); return nil })
	try("AdamW", func(out []float32) []float32 { return s.trialAdamW(out, x, y) })
	try("Dropout", func(out []float32) []float32 {
		d := &Draw{Limit: 1 << 14, Scale: 2}
		d.SetKey([2]uint32{1, 2})
		s.Dropout(out, x, d, [4]uint32{3, 4, 5, 6})
		mask, c, x := make([]uint32, n/Cols), wave(n, 7), wave(n, 8)
		s.DropoutMask(mask, d, [4]uint32{3, 4, 5, 6})
		s.AddKept(&Kept{C: first(c, 1), Mask: first(mask, 1), LDC: Stride, Rows: 1, Scale: 2, Low: first(y, 1)}, Cols)
		s.Keep(x[:len(mask)*Cols], y, mask)
		return append(c, x...)
	})
	try("BF16", func(out []float32) []float32 {
		half := make([]uint16, n)
		s.ToBF16(half, x)
		s.FromBF16(out, half)
		return nil
	})
	return append(all, s.trialBlocks()...)
}

// trialHalfGates is the largest distance between SwiGLUHalf and SwiGLU of the same g and u.
func (s *Set) trialHalfGates(g, u []float32) (most float32) {
	const n = MaxLanes
	var halves [3][n]uint16
	var wide [3][n]float32
	for i, x := range [][]float32{g, u} {
		s.ToBF16(halves[i][:], x[:n])
		s.FromBF16(wide[i][:], halves[i][:])
	}
	if !s.HasHalfGates(n) {
		return 0
	}
	s.SwiGLU(wide[2][:], wide[0][:], wide[1][:])
	s.ToBF16(halves[2][:], wide[2][:])
	s.FromBF16(wide[2][:], halves[2][:])
	s.SwiGLUHalf(halves[2][:], halves[0][:], halves[1][:])
	s.FromBF16(wide[0][:], halves[2][:])
	for i, x := range wide[0] {
		most = max(most, x-wide[2][i], wide[2][i]-x)
	}
	return most
}

func (s *Set) trialBlocks() []trialResult {
	var all []trialResult
	src := make([]byte, 4+2*q6KBytes)
	for i := range src {
		src[i] = byte(i*37) &^ 0x40 // scales are finite
	}
	for _, half := range []bool{false, true} {
		d := &s.Floats
		if half {
			d = &s.Halves
		}
		for _, b := range []struct {
			name     string
			elements int
			decode   Decode
		}{{"Q8_0", 32, d.Q8_0}, {"Q4_0", 32, d.Q4_0}, {"NF4", 64, d.NF4}, {"Q4_K", 256, d.Q4_K}, {"Q6_K", 256, d.Q6_K}, {"Int8", 32, d.Int8}} {
			n := 2 * b.elements
			dst, narrow := make([]float32, n), make([]uint16, n)
			to := first(dst, n)
			if half {
				to = unsafe.Pointer(unsafe.SliceData(narrow))
			}
			b.decode(to, unsafe.Pointer(&src[4]), 2, 1, 0, 0, 0, 4)
			if half {
				s.FromBF16(dst, narrow)
			}
			all = append(all, trialResult{b.name, dst})
		}
	}
	return all
}

func (s *Set) trialAdamW(p, m, g []float32) []float32 {
	first, second := append([]float32(nil), m...), make([]float32, len(p))
	s.AdamW(p, first, second, g, &AdamW{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1, LearningRate: 0.01, Clip: 1, Bias1: 0.1, Bias2: 0.01})
	return append(first, second...)
}
