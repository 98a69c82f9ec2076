package dpo

import (
	"math"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec/exectest"
	"align/internal/fixture"
	"align/internal/graph"
	"align/internal/train"

	"pgregory.net/rapid"
)

// valueTolerance is relative: both sides are float64, and a loss is a few
// dozen operations at most.
const valueTolerance = 1e-9

// gradientTolerance is relative: the reference gradients are central
// differences with step 1e-6, good to about six digits.
const gradientTolerance = 1e-5

// differenceTolerance bounds the gradients against our own central differences
// with gonum's step of 6e-6: truncation and rounding are each near 1e-10 for
// values of size 1, and values here reach 1e2.
const differenceTolerance = 1e-7

// ln2 is the logistic loss at margin 0.
const ln2 = math.Ln2

func backend(t testing.TB) device.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// batch is the values of Inputs.
type batch struct {
	PolicyChosen      exectest.Value `json:"policy_chosen_logps"`
	PolicyRejected    exectest.Value `json:"policy_rejected_logps"`
	ReferenceChosen   exectest.Value `json:"ref_chosen_logps"`
	ReferenceRejected exectest.Value `json:"ref_rejected_logps"`
	ChosenLength      exectest.Value `json:"chosen_tokens"`
	RejectedLength    exectest.Value `json:"rejected_tokens"`
}

// values are in the order of inputs.
func (v batch) values() []exectest.Value {
	return []exectest.Value{v.PolicyChosen, v.PolicyRejected, v.ReferenceChosen, v.ReferenceRejected, v.ChosenLength, v.RejectedLength}
}

func inputs(in graph.Nodes) Inputs {
	return Inputs{
		PolicyChosen: in[0], PolicyRejected: in[1], ReferenceChosen: in[2], ReferenceRejected: in[3],
		ChosenLength: in[4], RejectedLength: in[5],
	}
}

// formula is a sum of losses as a function of the batch's values.
func formula(t testing.TB, loss string, p Params) exectest.Formula {
	t.Helper()
	w, err := ParseWeighted(loss)
	if err == nil {
		err = w.Validate(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(b *graph.Builder, in graph.Nodes) *graph.Node { return w.PerPair(b, inputs(in), p) }
}

func near(t testing.TB, what string, got, want exectest.Value, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d elements, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tolerance*math.Abs(want[i])) {
			t.Errorf("%s[%d]: got %v, want %v", what, i, got[i], want[i])
		}
	}
}

// goldens says which of our losses each reference value is of; fields of its
// params beyond beta are ours by another name.
var goldens = map[string]struct {
	loss string
	set  func(*Params)
}{
	"sigmoid":          {"sigmoid", func(*Params) {}},
	"cdpo":             {"sigmoid", func(p *Params) { p.LabelSmoothing = 0.1 }},
	"robust":           {"robust", func(p *Params) { p.LabelSmoothing = 0.1 }},
	"hinge":            {"hinge", func(*Params) {}},
	"ipo_norm":         {"ipo", func(*Params) {}},
	"ipo_sum":          {"ipo_sum", func(*Params) {}},
	"sigmoid_norm":     {"sigmoid_norm", func(*Params) {}},
	"exo_pair":         {"exo_pair", func(p *Params) { p.LabelSmoothing = 1e-3 }},
	"nca_pair":         {"nca_pair", func(*Params) {}},
	"bco_pair_nodelta": {"bco_pair", func(*Params) {}},
	"sppo_hard":        {"sppo_hard", func(*Params) {}},
	"apo_zero":         {"apo_zero", func(*Params) {}},
	"apo_down":         {"apo_down", func(*Params) {}},
	"discopop":         {"discopop", func(*Params) {}},
	"simpo":            {"simpo", func(p *Params) { p.Beta, p.SimPOGamma = 2, 1 }},
	"cpo_sigmoid":      {"cpo", func(p *Params) { p.CPOAlpha = 0 }},
	"orpo":             {"orpo", func(*Params) {}},
	"dpo_nll":          {"sigmoid:1,sft:0.2", func(*Params) {}},
}

func TestLossesEqualTheReferenceValues(t *testing.T) {
	var golden struct {
		Inputs batch `json:"inputs"`
		DPO    map[string]struct {
			PerPair          exectest.Value `json:"per_pair"`
			Mean             float64        `json:"mean"`
			GradientChosen   exectest.Value `json:"dloss_dpolicy_chosen"`
			GradientRejected exectest.Value `json:"dloss_dpolicy_rejected"`
		} `json:"dpo"`
	}
	fixture.Golden(t, &golden, "losses.json")
	b := backend(t)
	for name, want := range golden.DPO {
		t.Run(name, func(t *testing.T) {
			c, known := goldens[name]
			if !known {
				t.Fatal("no loss of ours stands for this reference value")
			}
			p := DefaultParams()
			c.set(&p)
			loss, grads := exectest.Evaluate(t, b, formula(t, c.loss, p), golden.Inputs.values()...)
			near(t, "loss", loss, want.PerPair, valueTolerance)
			near(t, "chosen gradient", grads[0], want.GradientChosen, gradientTolerance)
			near(t, "rejected gradient", grads[1], want.GradientRejected, gradientTolerance)
			near(t, "mean", exectest.Value{(loss[0] + loss[1] + loss[2]) / 3}, exectest.Value{want.Mean}, valueTolerance)
		})
	}
	if len(golden.DPO) != len(goldens) {
		t.Errorf("%d reference losses, want %d", len(golden.DPO), len(goldens))
	}
}

func TestMetricsEqualTheReferenceValues(t *testing.T) {
	var golden struct {
		Inputs  batch              `json:"inputs"`
		Metrics map[string]float64 `json:"dpo_metrics"`
	}
	fixture.Golden(t, &golden, "losses.json")
	var m train.Metrics
	in := golden.Inputs
	LogProbs{in.PolicyChosen, in.PolicyRejected, in.ReferenceChosen, in.ReferenceRejected}.AddMetrics(&m, "eval_", 0.1)
	for name, want := range golden.Metrics {
		got, _ := m.Get("eval_" + name)
		near(t, name, exectest.Value{got}, exectest.Value{want}, valueTolerance)
	}
}

// The DPO loss at margins βΔ = 0, 1, 2 by hand: softplus(-m) = 0.6931, 0.3133,
// 0.1269 with mean 0.37777896, and the gradient of the mean by the chosen
// answer is -β·σ(-m)/3 = -0.016667, -0.008965, -0.003973 at β = 0.1.
func TestSigmoidByHand(t *testing.T) {
	v := batch{
		exectest.Value{-10, -10, -10}, exectest.Value{-10, -20, -30}, exectest.Value{-10, -10, -10},
		exectest.Value{-10, -10, -10}, exectest.Value{1, 1, 1}, exectest.Value{1, 1, 1},
	}
	third := exectest.Value{1. / 3, 1. / 3, 1. / 3}
	mean := func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return b.Dot(sigmoid(b, inputs(in), Params{Beta: 0.1}), in[6])
	}
	loss, grads := exectest.Evaluate(t, backend(t), mean, append(v.values(), third)...)
	const digits = 2e-4 // the numbers above have this many
	near(t, "mean", loss, exectest.Value{0.37777896}, 1e-7)
	near(t, "gradient", grads[0], exectest.Value{-0.016667, -0.008965, -0.003973}, digits)
}

// Where policy and reference agree (c = r = 0), each loss has a value that can
// be read off its formula, here with β = 0.1, |yw| = |yl| = 4, log π = -8, so
// ā = -2 on both sides.
func TestLossesAtTheReference(t *testing.T) {
	const nll = 2.0
	for name, want := range map[string]float64{
		"sigmoid":      ln2,                                 // softplus(0)
		"robust":       ln2,                                 // (0.9-0.1)/(1-0.2) of it
		"hinge":        1,                                   // max(0, 1-0)
		"ipo":          25,                                  // (1/(2β))²
		"ipo_sum":      25,                                  // the same
		"sigmoid_norm": ln2,                                 // softplus(0)
		"exo_pair":     -ln2 - math.Log(0.1*0.9)/2,          // the KL of (½, ½) to (0.9, 0.1)
		"nca_pair":     2 * ln2,                             // ln 2 (1 + ½ + ½)
		"bco_pair":     2 * ln2,                             // ln 2 on each side
		"sppo_hard":    50,                                  // twice (1/(2β))²
		"apo_zero":     1,                                   // 1 - ½ + ½
		"apo_down":     1,                                   // ½ + 1 - ½
		"discopop":     ln2/2 + 0.5,                         // w = ½
		"simpo":        0.9*0.9740769842 + 0.1*0.4740769842, // softplus(±½) with γ = ½
		"cpo":          ln2 + nll,                           // α = 1
		"orpo":         nll + 0.1*ln2,                       // equal odds
		"sft":          nll,
	} {
		t.Run(name, func(t *testing.T) {
			p := DefaultParams()
			p.LabelSmoothing = 0.1
			same, length := exectest.Value{-8}, exectest.Value{4}
			v := batch{same, same, same, same, length, length}
			got, _ := exectest.Evaluate(t, backend(t), formula(t, name, p), v.values()...)
			near(t, "loss", got, exectest.Value{want}, valueTolerance)
		})
	}
}

// At the start of a run the loss is ln 2 to the last bit, not nearly.
func TestSigmoidStartsAtExactlyLn2(t *testing.T) {
	b := backend(t)
	rapid.Check(t, func(r *rapid.T) {
		c, l := rapid.Float64Range(-1e4, 0).Draw(r, "chosen"), rapid.Float64Range(-1e4, 0).Draw(r, "rejected")
		v := batch{exectest.Value{c}, exectest.Value{l}, exectest.Value{c}, exectest.Value{l}, exectest.Value{1}, exectest.Value{1}}
		got, _ := exectest.Evaluate(t, b, formula(t, "sigmoid", Params{Beta: 0.1}), v.values()...)
		if got[0] != ln2 {
			r.Fatalf("loss is %v, want ln 2 = %v", got[0], ln2)
		}
	})
}

// drawBatch draws one pair near enough to each other to be smooth.
func drawBatch(r *rapid.T) batch {
	logProb := func(name string) exectest.Value { return exectest.Value{rapid.Float64Range(-60, -1).Draw(r, name)} }
	length := func(name string) exectest.Value {
		return exectest.Value{float64(rapid.IntRange(1, 50).Draw(r, name))}
	}
	return batch{
		logProb("policy chosen"), logProb("policy rejected"), logProb("reference chosen"), logProb("reference rejected"),
		length("chosen length"), length("rejected length"),
	}
}

// The losses that only ever ask for more of the chosen and less of the rejected
// answer; the others have a target or a floor.
func TestLossFallsWhenChosenRises(t *testing.T) {
	b := backend(t)
	for _, name := range []string{"sigmoid", "robust", "hinge", "sigmoid_norm", "bco_pair", "apo_zero", "simpo", "cpo", "orpo", "sft"} {
		t.Run(name, func(t *testing.T) {
			f := formula(t, name, DefaultParams())
			rapid.Check(t, func(r *rapid.T) {
				_, grads := exectest.Evaluate(t, b, f, drawBatch(r).values()...)
				if grads[0][0] > 0 || grads[1][0] < 0 {
					r.Fatalf("gradients %v, %v: want at most 0 by the chosen and at least 0 by the rejected answer", grads[0], grads[1])
				}
			})
		})
	}
}

// With half of the labels wrong it cannot matter which answer is called chosen.
func TestSigmoidIsSymmetricAtSmoothingOneHalf(t *testing.T) {
	b := backend(t)
	f := formula(t, "sigmoid", Params{Beta: 0.3, LabelSmoothing: 0.5})
	rapid.Check(t, func(r *rapid.T) {
		v := drawBatch(r)
		swapped := batch{v.PolicyRejected, v.PolicyChosen, v.ReferenceRejected, v.ReferenceChosen, v.RejectedLength, v.ChosenLength}
		one, _ := exectest.Evaluate(t, b, f, v.values()...)
		two, _ := exectest.Evaluate(t, b, f, swapped.values()...)
		if one[0] != two[0] {
			r.Fatalf("loss is %v, and %v with the answers swapped", one[0], two[0])
		}
	})
}

// However the pairs of a step are cut into micro-batches, the parts add up.
func TestWeightsMakeAccumulationExact(t *testing.T) {
	b := backend(t)
	mean := func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return b.Dot(sigmoid(b, inputs(in), Params{Beta: 0.1}), in[6])
	}
	quarter := exectest.Value{0.25, 0.25, 0.25, 0.25}
	v := batch{
		exectest.Value{-3, -5, -9, -2}, exectest.Value{-4, -1, -7, -8}, exectest.Value{-2, -6, -6, -1},
		exectest.Value{-5, -3, -9, -7}, exectest.Value{3, 4, 5, 6}, exectest.Value{3, 4, 5, 6},
	}
	whole, _ := exectest.Evaluate(t, b, mean, append(v.values(), quarter)...)
	parts := 0.0
	for _, cut := range [][2]int{{0, 1}, {1, 4}} {
		var in []exectest.Value
		for _, x := range append(v.values(), quarter) {
			in = append(in, x[cut[0]:cut[1]])
		}
		part, _ := exectest.Evaluate(t, b, mean, in...)
		parts += part[0]
	}
	near(t, "sum of parts", exectest.Value{parts}, whole, 1e-15)
}

func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	b := backend(t)
	v := batch{
		exectest.Value{-12.5, -8.25, -27}, exectest.Value{-15, -6.75, -21.5}, exectest.Value{-14, -7, -26},
		exectest.Value{-12, -8, -29}, exectest.Value{11, 9, 24}, exectest.Value{10, 8, 15},
	}
	for _, name := range Names() {
		loss, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if loss.Unpaired() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := DefaultParams()
			p.LabelSmoothing = 0.1
			for _, p.FDivergenceType = range Divergences() {
				exectest.CheckGradients(t, b, differenceTolerance, formula(t, name, p), v.values()...)
			}
		})
	}
}

// A policy that has run away still has a finite loss and finite gradients.
func TestLossesStayFinite(t *testing.T) {
	b := backend(t)
	for _, l := range losses {
		if l.Unpaired() {
			continue
		}
		t.Run(l.Name, func(t *testing.T) {
			p := DefaultParams()
			p.LabelSmoothing = 0.1
			far, none, one := exectest.Value{-1e5}, exectest.Value{0}, exectest.Value{1}
			for _, v := range []batch{
				{far, none, none, far, one, one}, {none, far, far, none, one, one}, {none, none, far, far, one, one}, {far, far, none, none, one, one},
			} {
				for _, p.FDivergenceType = range Divergences() {
					loss, grads := exectest.Evaluate(t, b, formula(t, l.Name, p), v.values()...)
					for _, x := range []float64{loss[0], grads[0][0], grads[1][0]} {
						if math.IsNaN(x) || math.IsInf(x, 0) {
							t.Errorf("%s at %v: loss %v, gradients %v, %v", p.FDivergenceType, v, loss[0], grads[0][0], grads[1][0])
							break
						}
					}
				}
			}
		})
	}
}
