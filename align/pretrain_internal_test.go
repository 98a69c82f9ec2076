package align

import (
	"testing"

	"align/datasets"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Every token but a text's first is a target of exactly one piece.
func TestCuttingKeepsEveryTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.Int32Range(0, 9), 2, 50).Draw(t, "ids")
		mask := rapid.SliceOfN(rapid.Bool(), len(ids), len(ids)).Draw(t, "mask")
		length := rapid.IntRange(2, 60).Draw(t, "length")
		whole := datasets.Example{IDs: ids, LossMask: mask}
		targets := 0
		var inOrder []int32
		for _, piece := range cutExamples([]datasets.Example{whole}, length) {
			if len(piece.IDs) > length {
				t.Fatalf("a piece of %d tokens, the limit is %d", len(piece.IDs), length)
			}
			targets += piece.Targets()
			for i := 1; i < len(piece.IDs); i++ {
				if piece.LossMask[i] {
					inOrder = append(inOrder, piece.IDs[i])
				}
			}
		}
		var want []int32
		for i := 1; i < len(ids); i++ {
			if mask[i] {
				want = append(want, ids[i])
			}
		}
		if diff := cmp.Diff(want, inOrder); diff != "" || targets != whole.Targets() {
			t.Fatalf("%d targets, want %d: %s", targets, whole.Targets(), diff)
		}
	})
}
