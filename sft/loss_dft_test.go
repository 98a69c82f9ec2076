package sft

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec/exectest"
	"align/internal/graph"
)

// dftTolerance is of a loss and gradients in float64 against another program's
// softmax; differencesTolerance is that of central differences.
const (
	dftTolerance         = 1e-12
	differencesTolerance = 1e-7
)

// dft is the loss of tokens' log-probabilities; factor stands for their
// probabilities, nil for those of the loss itself.
func dft(factor exectest.Value) exectest.Formula {
	return func(b *graph.Builder, in graph.Nodes) *graph.Node {
		per := rectified(b, in[0])
		if factor != nil {
			per = b.Mul(in[1], in[0])
		}
		return b.Neg(b.Dot(per, in[len(in)-1]))
	}
}

// The gradient is the one that central differences find where the probabilities
// are held, and the value is the same.
func TestDFTIsTheLikelihoodTimesAStoppedFactor(t *testing.T) {
	b := f64(t)
	logProbs, weights := exectest.Value{-0.01, -0.7, -2, -5, -11}, exectest.Value{0.2, 0.2, 0.1, 0.3, 0.2}
	factor := make(exectest.Value, len(logProbs))
	for i, x := range logProbs {
		factor[i] = math.Exp(x)
	}
	value, grads := exectest.Evaluate(t, b, dft(nil), logProbs, weights)
	held, heldGrads := exectest.Evaluate(t, b, dft(factor), logProbs, factor, weights)
	if math.Abs(value[0]-held[0]) > lossTolerance {
		t.Errorf("loss is %v, with the factor held %v", value[0], held[0])
	}
	for i, x := range logProbs {
		want := -weights[i] * math.Exp(x) // that of -p
		if math.Abs(grads[0][i]-want) > lossTolerance || math.Abs(heldGrads[0][i]-want) > lossTolerance {
			t.Errorf("gradient[%d] is %v, with the factor held %v, want %v", i, grads[0][i], heldGrads[0][i], want)
		}
	}
	exectest.CheckGradients(t, b, differencesTolerance, dft(factor), logProbs, factor, weights)
}

// Down to the hidden states and the head, against PyTorch 1.13 in float64:
//
//	lp = log_softmax(h @ w.T).gather(targets); loss = (-lp.exp().detach() * lp).sum() / N
func TestDFTAgainstPyTorch(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "dft.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		H, W, Targets, DH, DW exectest.Value
		Loss                  float64
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	n := len(want.Targets)
	width := len(want.H) / n
	g := exectest.New(device.F64, nil)
	trained := func(rows int) graph.Info {
		info := graph.Matrix(device.F64, graph.Size(rows), width)
		info.Trained = true
		return info
	}
	h, w := g.In("h", trained(n), want.H), g.In("w", trained(len(want.W)/width), want.W)
	lp := g.LogProb(h, w, g.In("targets", graph.Vector(device.I32, graph.Size(n)), want.Targets), 1).LogProb
	perToken := tokenWeights(sequenceWeights(MeanToken, []int32{2, 4}, float64(n)), []int32{0, 0, 1, 1, 1, 1})
	g.Out = loss(g.Builder, rectified(g.Builder, lp), g.In("weights", graph.Vector(device.F64, graph.Size(n)), perToken))
	got := exectest.Run(t, f64(t), g, append(g.Gradients(t, exectest.Value{1}), g.Out)...)
	for i, want := range []exectest.Value{want.DH, want.DW, {want.Loss}} {
		if !slices.EqualFunc(got[i], want, func(a, b float64) bool { return math.Abs(a-b) <= dftTolerance }) {
			t.Errorf("output %d is %v, want %v", i, got[i], want)
		}
	}
}

// What is certain to be wrong, or right, leaves numbers.
func TestDFTStaysFinite(t *testing.T) {
	weights := exectest.Value{1, 1}
	value, grads := exectest.Evaluate(t, f64(t), dft(nil), exectest.Value{-1e4, 0}, weights)
	if value[0] != 0 || grads[0][0] != 0 || grads[0][1] != -1 {
		t.Errorf("loss %v, gradients %v", value, grads[0])
	}
}

func f64(t *testing.T) device.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}
