package train_test

import (
	"strings"
	"testing"

	"align/internal/train"
	"align/model"
)

// Weight decay acts on every matrix and on no norm; the groups cover the whole
// buffer.
func TestDecayLeavesNormsAlone(t *testing.T) {
	f := model.NewFull(model.Config{
		HiddenSize: 16, IntermediateSize: 24, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 8, VocabSize: 17, ContextLength: 32,
	})
	groups := train.Decayed(f)
	end := 0
	for _, g := range groups {
		if g.First != end || g.LearningRateScale != 1 {
			t.Fatalf("group %+v, want one from %d on", g, end)
		}
		end += g.Len
	}
	if end != f.Len {
		t.Errorf("groups end at %d of %d", end, f.Len)
	}
	norms := 0
	for _, w := range f.Weights {
		for _, g := range groups {
			if g.First <= w.Offset && w.Offset < g.First+g.Len {
				isNorm := strings.Contains(w.Name, "norm")
				if isNorm {
					norms++
				}
				if g.NoDecay != isNorm {
					t.Errorf("%s: no decay is %v", w.Name, g.NoDecay)
				}
			}
		}
	}
	if norms != 5 {
		t.Errorf("%d norms, want 5", norms)
	}
}
