package kern

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"
)

// Ensure that a span that makes a panel of blocks on its way has the bits of a
// span, and that the panel is what Pack writes.
func TestSpanBlocks(t *testing.T) {
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, d := range s.directTrials() {
			for low := 0; low <= 16 && d.Span != nil; low += 16 {
				for add := range 2 {
					checkSpanBlocks(t, s, d, low, add)
					checkSpanAcross(t, s, d)
				}
			}
		}
	})
}

func checkSpanBlocks(t *testing.T, s *Set, d directTrial, low, add int) {
	t.Helper()
	const panels, outRows, ldc, elements = MakingPanels, 5, (MakingPanels + 1) * Cols, 512
	what := fmt.Sprintf("%s, low %d, add %d", d.name, low, add)
	random := func(seed, words int) []uint32 { return append(randomPanel(seed, words, 2), 0) }
	a, b := random(1, MakingWords*MakingRows), random(2, panels*MakingWords*Cols)
	lowA, lowB := random(3, low*MakingRows), random(4, panels*low*Cols)
	finished := floats(pointer(random(6, panels*MaxRows*Cols)), panels*MaxRows*Cols)
	n, step := elements/d.elements, blockBack+elements/d.elements*d.bytes+3
	src := randomBlocks(DirectRows * step)
	var work DirectWork
	for i := range work.Scales {
		work.Scales[i] = *(*float32)(unsafe.Pointer(&src[i*step])) / 127
	}
	want := make([]float32, elements/2*Cols)
	d.Pack(pointer(want), unsafe.Pointer(&src[blockBack]), n, step, &work)
	made := newGuarded(make([]float32, len(want)))
	for half := range 2 {
		m := &Making{Dst: pointer(made.slice()[16*half:]), Src: unsafe.Pointer(&src[blockBack+half*16*step]), SrcStep: step, DstStep: MakingUnit * Stride, Work: &work, Second: half > 0}
		for m.Units < elements/2/MakingUnit {
			tiles, y := aligned(panels*MaxRows*Cols), aligned(outRows*ldc)
			copy(tiles, floats(pointer(random(5, len(tiles))), len(tiles)))
			c := newGuarded(tiles)
			wantC, wantY := slices.Clone(c.slice()), aligned(outRows*ldc)
			span := Span{
				Rows: MakingRows, K: MakingWords, LowK: low, A: pointer(a), B: pointer(b), LowA: pointer(lowA), LowB: pointer(lowB),
				BStep: MakingWords * Stride, LowStep: low * Stride, C: pointer(c.slice()), Panels: panels, Add: add,
				Out: pointer(y), Tiles: pointer(finished), OutRows: outRows, LDC: 4 * ldc,
			}
			plain := span
			plain.C, plain.Out = pointer(wantC), pointer(wantY)
			s.BF16.Span(&plain)
			d.Span(&span, m)
			c.check(t, what)
			sameBits(t, what, c.slice(), wantC)
			sameBits(t, what+", y", y, wantY)
		}
	}
	made.check(t, what)
	for i := range want {
		if got := made.slice()[i]; math.Float32bits(got) != math.Float32bits(want[i]) {
			t.Fatalf("%s: word %d of row %d of the panel is %#x, want %#x", what, i/Cols, i%Cols, math.Float32bits(got), math.Float32bits(want[i]))
		}
	}
}

// checkSpanAcross is of 16 rows, whose pairs become 8 words of each panel.
func checkSpanAcross(t *testing.T, s *Set, d directTrial) {
	t.Helper()
	const rows, cols, words = DirectRows / 2, MakingPanels * Cols, DirectRows / 4
	n, step := cols/d.elements, blockBack+cols/d.elements*d.bytes+3
	src := randomBlocks(rows * step)
	first := unsafe.Pointer(&src[blockBack])
	var work DirectWork
	for i := range rows {
		work.Scales[i] = *(*float32)(unsafe.Pointer(&src[i*step])) / 127
	}
	decoded, want := make([]uint16, rows*cols), make([]float32, MakingPanels*words*Cols)
	d.decoder(&s.Halves)(pointer(decoded), first, n, rows, 2*cols, step, 0, blockBack)
	for j := range MakingPanels {
		s.Join(pointer(want[j*words*Cols:]), pointer(decoded[j*Cols:]), rows, 2*cols, Stride)
	}
	zeros := make([]uint32, MakingPanels*MakingWords*Cols)
	made, c := newGuarded(make([]float32, len(want))), newGuarded(make([]float32, MakingPanels*MaxRows*Cols))
	d.SpanAcross(&Span{
		Rows: MakingRows, K: MakingWords, A: pointer(zeros), B: pointer(zeros), BStep: MakingWords * Stride, C: pointer(c.slice()), Panels: MakingPanels,
	}, &Making{Dst: pointer(made.slice()), DstStep: words * Stride, Src: first, SrcStep: step, Work: &work})
	made.check(t, d.name)
	c.check(t, d.name)
	for i := range want {
		if got := made.slice()[i]; math.Float32bits(got) != math.Float32bits(want[i]) {
			t.Fatalf("%s across: word %d is %#x, want %#x", d.name, i, math.Float32bits(got), math.Float32bits(want[i]))
		}
	}
}
