package sft

import (
	"math"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec/exectest"
	"align/internal/graph"
)

// lossTolerance is relative: both sides are a few float64 operations.
const lossTolerance = 1e-14

// The two means by hand, of examples with 2, 1 and 3 target tokens and sums of
// log-probabilities -4, -3 and -3: over tokens 10/6, over examples (2+3+1)/3.
// The fourth sequence has no target and counts in neither.
func TestLossByHand(t *testing.T) {
	tokens, sums := []int32{2, 1, 3, 0}, exectest.Value{-4, -3, -3, 0}
	for _, c := range []struct {
		mean         string
		weight, want float64
	}{{MeanToken, 6, 10. / 6}, {MeanSequence, 3, 2}} {
		t.Run(c.mean, func(t *testing.T) {
			weights := sequenceWeights(c.mean, tokens, c.weight)
			got, grads := evaluate(t, sums, weights)
			if math.Abs(got-c.want) > lossTolerance*c.want {
				t.Errorf("loss is %v, want %v", got, c.want)
			}
			for i := range weights {
				if grads[i] != -weights[i] {
					t.Errorf("gradient[%d] is %v, want %v", i, grads[i], -weights[i])
				}
			}
		})
	}
}

// However the examples of a step are cut into micro-batches, the parts add up.
func TestWeightsMakeAccumulationExact(t *testing.T) {
	tokens, sums := []int32{2, 5, 3, 7}, exectest.Value{-4, -3, -8, -1.5}
	for mean, weight := range map[string]float64{MeanToken: 17, MeanSequence: 4} {
		whole, _ := evaluate(t, sums, sequenceWeights(mean, tokens, weight))
		parts := 0.0
		for _, cut := range [][2]int{{0, 1}, {1, 4}} {
			part, _ := evaluate(t, sums[cut[0]:cut[1]], sequenceWeights(mean, tokens[cut[0]:cut[1]], weight))
			parts += part
		}
		if math.Abs(parts-whole) > lossTolerance*whole {
			t.Errorf("mean over %ss: parts add up to %v, the whole is %v", mean, parts, whole)
		}
	}
}

func evaluate(t *testing.T, sums, weights exectest.Value) (float64, exectest.Value) {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	value, grads := exectest.Evaluate(t, b, func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return loss(b, in[0], in[1])
	}, sums, weights)
	return value[0], grads[0]
}
