package train_test

import (
	"testing"

	"align/internal/train"
	"align/model"
)

// Every element has one rate: B's and the magnitudes' is the ratio's, A's, that
// of weights trained whole and of a head is not.
func TestLoRAPlusSplitsTheBuffer(t *testing.T) {
	base := model.Config{HiddenSize: 12, IntermediateSize: 20, NumLayers: 2, NumHeads: 3, NumKVHeads: 1, HeadDim: 4, VocabSize: 70, ContextLength: 16}
	a, err := model.NewAdapter(base, model.LoRAConfig{Rank: 3, Alpha: 6, Targets: model.Modules, DoRA: true, Save: []string{"lm_head"}})
	if err != nil {
		t.Fatal(err)
	}
	a.AddHead(base)
	const offset = 192
	rates := map[int]float64{}
	for _, g := range train.LoRAPlus(a, offset, 0.5, 16) {
		for i := g.First; i < g.First+g.Len; i++ {
			if _, twice := rates[i]; twice {
				t.Fatalf("element %d is in two groups", i)
			}
			rates[i] = g.LearningRateScale
		}
	}
	if len(rates) != a.Len {
		t.Fatalf("%d elements have a rate, want %d", len(rates), a.Len)
	}
	check := func(what string, from, n int, want float64) {
		t.Helper()
		for i := from; i < from+n; i++ {
			if got := rates[offset+i]; got != want {
				t.Fatalf("%s: element %d has rate %v, want %v", what, i, got, want)
			}
		}
	}
	for _, f := range a.Factors {
		check("A of "+f.Name(), f.OffsetA, f.Rank*f.In, 0.5)
		check("B of "+f.Name(), f.OffsetB, f.Out*f.Rank, 8)
		check("magnitudes of "+f.Name(), f.OffsetM, f.Out, 8)
	}
	check("lm_head", a.Saved[0].Offset, 70*12, 0.5)
	check("head", a.Head.Offset, a.Head.Len, 0.5)
	if g := train.LoRAPlus(a, offset, 0.5, 1); len(g) != 1 || g[0].Len != a.Len || g[0].First != offset {
		t.Errorf("a ratio of 1 gives %+v, want one group", g)
	}
}
