package model_test

import (
	"testing"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
	"align/model"
)

// What the forward pass keeps of a layer for the backward pass, 1024 tokens, an adapter
// of rank 16 on products of bf16: the policy products keeps less than half of what all does,
// with the up of one layer in four. The states in float32 weigh more where a layer is narrow.
func TestProductsKeepLessThanHalfOfALayer(t *testing.T) {
	for _, c := range []struct {
		shape string
		most  float64
	}{{"small", 0.495}, {"1b", 0.47}, {"8b", 0.48}} {
		for _, dropout := range []float64{0, 0.05} {
			products, all := keptOfLayer(t, c.shape, dropout, exec.SaveProducts), keptOfLayer(t, c.shape, dropout, exec.SaveAll)
			t.Logf("%s, dropout %v: %.2f of %.2f MiB, %.3f", c.shape, dropout, products, all, products/all)
			if products > c.most*all {
				t.Errorf("%s: products keeps %.2f MiB of a layer, all %.2f: want at most %v of it", c.shape, products, all, c.most)
			}
		}
	}
}

// keptOfLayer is what a layer adds to a session, the mean of four, in MiB.
func keptOfLayer(t *testing.T, shape string, dropout float64, save exec.SavePolicy) float64 {
	t.Helper()
	var bytes [2]int64
	for i := range bytes {
		c, err := model.Shape(shape)
		if err != nil {
			t.Fatal(err)
		}
		c.NumLayers = 4 + 4*i
		a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 16, Alpha: 32, Dropout: dropout, Targets: model.Modules})
		if err != nil {
			t.Fatal(err)
		}
		d, err := model.NewDecoder(c, device.F32, model.DecoderOptions{
			Capacity: model.Capacity{Tokens: 1024, Targets: 1022, Sequences: 2}, Adapter: a, Train: true, Save: save, Device: sides{Rounds: device.BF16},
		})
		if err != nil {
			t.Fatal(err)
		}
		size, err := d.SessionSize(d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences)))
		if err != nil {
			t.Fatal(err)
		}
		bytes[i] = size.Bytes
	}
	return float64(bytes[1]-bytes[0]) / 4 / (1 << 20)
}
