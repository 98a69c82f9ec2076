//go:build linux && (amd64 || arm64) && !nogpu

package cudatest_test

import (
	"testing"

	"align/internal/device/cuda/cudatest"
)

// What is asked of a card's instructions is no more than its manual says: cards that
// add and approximate in other ways than the simulator does by itself pass as well.
func TestOtherArithmetic(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card has its own")
	}
	for _, arithmetic := range []string{"hopper", "apart"} {
		t.Run(arithmetic, func(t *testing.T) {
			t.Setenv(cudatest.Variable, arithmetic)
			t.Run("forms", TestForms)
			t.Run("mma", TestMma)
			t.Run("wgmma", TestMmaOfFourWarps)
		})
	}
}
