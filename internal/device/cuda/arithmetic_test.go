//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"testing"

	"align/internal/device/cuda/cudatest"
)

// Kernels that are to have each other's bits have them on cards that add in other ways
// than the simulator does by itself, where it is the instruction that adds and its terms
// are the same: a tile, a split or a fragment that goes its own way shows. Values are
// within what tests allow. (ALIGN_TEST_ARITHMETIC does that to the whole suite.)
func TestOtherArithmetic(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card has its own")
	}
	for _, arithmetic := range []string{"hopper", "apart"} {
		t.Run(arithmetic, func(t *testing.T) {
			t.Setenv(cudatest.Variable, arithmetic)
			t.Run("tiles", TestGemmTilesAgreeBitForBit)
			t.Run("gemv", TestGemvHasTheBitsOfGemm)
			t.Run("cache", TestCaptureOfAGrowingCache)
			t.Run("softmax", TestSoftmaxInChunks)
			t.Run("slopes", TestSlopesOverChunks)
		})
	}
}
