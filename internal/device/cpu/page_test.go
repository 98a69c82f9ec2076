package cpu

import (
	"fmt"
	"testing"

	"align/internal/device"
	"align/internal/device/devicetest"
)

// TestCacheOfManyShapes: pages that are read in place, and those that are not.
func TestCacheOfManyShapes(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has the suite's")
	}
	forEachKind(t, func(t *testing.T, o Options) {
		b := start(t, o.with(2))
		for _, attr := range []device.Attention{
			{Heads: 3, KVHeads: 3, HeadDim: 64, Scale: 0.125}, {Heads: 6, KVHeads: 2, HeadDim: 64, Scale: 0.125},
			{Heads: 4, KVHeads: 1, HeadDim: 64, Scale: -0.1}, {Heads: 3, KVHeads: 1, HeadDim: 128, Scale: 0.09},
			{Heads: 8, KVHeads: 2, HeadDim: 128, Scale: 0.09}, {Heads: 2, KVHeads: 2, HeadDim: 4, Scale: 0.5},
			{Heads: 2, KVHeads: 1, HeadDim: 32, Scale: 0.2}, {Heads: 1, KVHeads: 1, HeadDim: 160, Scale: 0.08},
			{Heads: 2, KVHeads: 1, HeadDim: 80, Scale: 0.1},
		} {
			t.Run(fmt.Sprintf("%d of %d, %d", attr.Heads, attr.KVHeads, attr.HeadDim), func(t *testing.T) {
				devicetest.CheckCacheOf(t, b, o.Activations, attr)
			})
		}
	})
}

// TestAttentionReadsPagesInPlace: where the usual sizes of heads are packed again
// in every step, nothing but time would tell.
func TestAttentionReadsPagesInPlace(t *testing.T) {
	forEachKind(t, func(t *testing.T, o Options) {
		if b := start(t, o.with(1)); b.fast != nil && (b.fast.pageOf(64) == nil || b.fast.pageOf(128) == nil) {
			t.Error("pages of heads of 64 or 128 columns hold rows")
		}
	})
}
