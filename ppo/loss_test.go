package ppo

import (
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec/exectest"
	"align/internal/fixture"
	"align/internal/graph"

	"pgregory.net/rapid"
)

// valueTolerance is relative, with an absolute floor of the same size for
// numbers that are 0 up to rounding: both sides are float64.
const valueTolerance = 1e-9

// differenceTolerance bounds the gradients against central differences with
// gonum's step of 6e-6 on values of size 1.
const differenceTolerance = 1e-8

func backend(t testing.TB) device.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func near(t testing.TB, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d elements, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= valueTolerance*max(1, math.Abs(want[i]))) {
			t.Errorf("%s[%d]: got %v, want %v", what, i, got[i], want[i])
		}
	}
}

// golden are the reference values: two responses of four places, the last of
// the second one padding.
type golden struct {
	PPO struct {
		LogProbs          [][]float64            `json:"logp"`
		ReferenceLogProbs [][]float64            `json:"ref_logp"`
		Mask              [][]int                `json:"mask"`
		Scores            []float64              `json:"score"`
		Values            [][]float64            `json:"values"`
		KLCoef            float64                `json:"kl_coef"`
		Gamma             float64                `json:"gamma"`
		Lambda            float64                `json:"lam"`
		KL                map[string][][]float64 `json:"kl"`
		TokenRewards      [][]float64            `json:"token_rewards"`
		Advantages        [][]float64            `json:"advantages"`
		Returns           [][]float64            `json:"returns"`
		Mean              float64                `json:"adv_mean"`
		Variance          float64                `json:"adv_var_unbiased"`
		Whitened          [][]float64            `json:"advantages_whitened"`
		NewLogProbs       [][]float64            `json:"new_logp"`
		NewValues         [][]float64            `json:"new_values"`
		Clip              float64                `json:"clip"`
		ValueClip         float64                `json:"value_clip"`
		PolicyLoss        float64                `json:"policy_loss"`
		ValueLoss         float64                `json:"value_loss"`
		PolicyClips       float64                `json:"policy_clipfrac"`
		ValueClips        float64                `json:"value_clipfrac"`
		ApproxKL          float64                `json:"approxkl"`
	} `json:"ppo"`
}

// rows drops the padding.
func (g *golden) rows(x [][]float64) [][]float64 {
	out := make([][]float64, len(x))
	for i, row := range x {
		for t, v := range row {
			if g.PPO.Mask[i][t] == 1 {
				out[i] = append(out[i], v)
			}
		}
	}
	return out
}

func (g *golden) flat(x [][]float64) []float64 { return slices.Concat(g.rows(x)...) }

func readGolden(t *testing.T) *golden {
	var g golden
	fixture.Golden(t, &g, "losses.json")
	return &g
}

// policyFormula is the loss per token from new and old log-probabilities and
// advantages.
func policyFormula(clip, dualClip float64) exectest.Formula {
	return wideFormula(clipRange{clip, clip}, dualClip)
}

func wideFormula(clip clipRange, dualClip float64) exectest.Formula {
	return func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return policyLoss(b, ratio(b, in[0], in[1]), in[2], clip, dualClip)
	}
}

func valueFormula(clipRange float64) exectest.Formula {
	return func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return valueLoss(b, in[0], in[1], in[2], clipRange)
	}
}

func ratiosOf(logProbs, oldLogProbs []float64) []float64 {
	b := tokens{logProbs: oldLogProbs}
	return b.ratios(logProbs, TokenLevel)
}

func mean(x []float64) []float64 {
	m, _ := moments([][]float64{x})
	return []float64{m}
}

func TestLossesEqualTheReferenceValues(t *testing.T) {
	g := readGolden(t)
	b, p := backend(t), g.PPO
	policy, _ := exectest.Evaluate(t, b, policyFormula(p.Clip, 0), g.flat(p.NewLogProbs), g.flat(p.LogProbs), g.flat(p.Whitened))
	near(t, "policy loss", mean(policy), []float64{p.PolicyLoss})
	value, _ := exectest.Evaluate(t, b, valueFormula(p.ValueClip), g.flat(p.NewValues), g.flat(p.Values), g.flat(p.Returns))
	near(t, "value loss", mean(value), []float64{p.ValueLoss})

	tokens := float64(len(g.flat(p.Values)))
	clips := policyClips(ratiosOf(g.flat(p.NewLogProbs), g.flat(p.LogProbs)), g.flat(p.Whitened), clipRange{p.Clip, p.Clip})
	near(t, "policy clips", []float64{float64(clips) / tokens}, []float64{p.PolicyClips})
	clips = valueClips(g.flat(p.NewValues), g.flat(p.Values), g.flat(p.Returns), p.ValueClip)
	near(t, "value clips", []float64{float64(clips) / tokens}, []float64{p.ValueClips})
	near(t, "approximate KL", []float64{approxKL(g.flat(p.NewLogProbs), g.flat(p.LogProbs)) / tokens}, []float64{p.ApproxKL})
}

// The four corners of the clipped surrogate by hand, ε = 0.2, c = 3: at
// ρ = e^0.5 = 1.6487 and A = 2 it is -2.4 with no gradient; at A = -2 it is
// 3.2974 with gradient 3.2974; at ρ = e^-0.5 = 0.6065 and A = -2 it is 1.6 with
// none; at ρ = e^2 = 7.389 and A = -2 it is 14.778, under the dual clip 6.
func TestPolicyLossByHand(t *testing.T) {
	b := backend(t)
	logProb, old, advantage := exectest.Value{-1, -1, -2, -1}, exectest.Value{-1.5, -1.5, -1.5, -3}, exectest.Value{2, -2, -2, -2}
	rise, far := 2*math.Exp(0.5), 2*math.Exp(2)
	loss, grads := exectest.Evaluate(t, b, policyFormula(0.2, 0), logProb, old, advantage)
	near(t, "loss", loss, []float64{-2.4, rise, 1.6, far})
	near(t, "gradient", grads[0], []float64{0, rise, 0, far})
	loss, grads = exectest.Evaluate(t, b, policyFormula(0.2, 3), logProb, old, advantage)
	near(t, "dual loss", loss, []float64{-2.4, rise, 1.6, 6})
	near(t, "dual gradient", grads[0], []float64{0, rise, 0, 0})
}

// A wider range above: at ρ = e^0.5 and A = 2 with 0.7 the gradient goes on, -2ρ,
// and with 0.4 the loss is -2.8 with none; below 1 nothing changes.
func TestClipHigherByHand(t *testing.T) {
	b := backend(t)
	logProb, old, advantage := exectest.Value{-1, -1, -2}, exectest.Value{-1.5, -1.5, -1.5}, exectest.Value{2, -2, -2}
	rise := 2 * math.Exp(0.5)
	loss, grads := exectest.Evaluate(t, b, wideFormula(clipRange{0.2, 0.7}, 0), logProb, old, advantage)
	near(t, "loss", loss, []float64{-rise, rise, 1.6})
	near(t, "gradient", grads[0], []float64{-rise, rise, 0})
	loss, grads = exectest.Evaluate(t, b, wideFormula(clipRange{0.2, 0.4}, 0), logProb, old, advantage)
	near(t, "loss", loss, []float64{-2.8, rise, 1.6})
	near(t, "gradient", grads[0], []float64{0, rise, 0})
	for _, tc := range []struct {
		high float64
		want int
	}{{0.7, 1}, {0.4, 2}} {
		if got := policyClips(ratiosOf(logProb, old), advantage, clipRange{0.2, tc.high}); got != tc.want {
			t.Errorf("%d tokens are clipped with %v above, want %d", got, tc.high, tc.want)
		}
	}
	c := DefaultConfig()
	if c.clipRange() != (clipRange{0.2, 0.2}) {
		t.Errorf("the default is %v", c.clipRange())
	}
	c.ClipRangeHigh = 0.28
	if c.clipRange() != (clipRange{0.2, 0.28}) {
		t.Errorf("with 0.28 above it is %v", c.clipRange())
	}
}

// The dual clip as its paper writes it.
func TestDualClipEqualsItsDefinition(t *testing.T) {
	b := backend(t)
	rapid.Check(t, func(r *rapid.T) {
		l, a := rapid.Float64Range(-3, 3).Draw(r, "log ratio"), rapid.Float64Range(-5, 5).Draw(r, "advantage")
		got, _ := exectest.Evaluate(t, b, policyFormula(0.2, 3), exectest.Value{l}, exectest.Value{0}, exectest.Value{a})
		rho := math.Exp(l)
		want := max(-a*rho, -a*min(max(rho, 0.8), 1.2))
		if a < 0 {
			want = min(want, -3*a)
		}
		if math.Abs(got[0]-want) > 1e-12 {
			r.Fatalf("got %v, want %v", got[0], want)
		}
	})
}

// The first inner step: ratio exactly 1, the loss -A, its gradient that of the
// policy gradient.
func TestPolicyLossAtTheRollout(t *testing.T) {
	same := exectest.Value{-1.25, -3.7, -0.001}
	advantage := exectest.Value{0.5, -2, 3}
	loss, grads := exectest.Evaluate(t, backend(t), policyFormula(0.2, 3), same, same, advantage)
	for i, a := range advantage {
		if loss[i] != -a || grads[0][i] != -a {
			t.Errorf("loss %v, gradient %v, want exactly %v", loss[i], grads[0][i], -a)
		}
	}
}

func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	b := backend(t)
	one, two := exectest.Value{-1.1, -0.6, -2.5, -0.4}, exectest.Value{-1, -0.9, -2, -1.9}
	three := exectest.Value{0.7, -1.3, 0.4, -0.2}
	exectest.CheckGradients(t, b, differenceTolerance, policyFormula(0.2, 0), one, two, three)
	exectest.CheckGradients(t, b, differenceTolerance, policyFormula(0.2, 3), one, two, three)
	exectest.CheckGradients(t, b, differenceTolerance, valueFormula(0.2), one, two, three)
	exectest.CheckGradients(t, b, differenceTolerance, func(b *graph.Builder, in graph.Nodes) *graph.Node {
		return klLoss(b, in[0], in[1])
	}, one, two)
}

// The loss and its gradient of _compute_loss of GRPOTrainer of TRL 1.16 on six tokens
// of two answers, in float64: loss dapo, epsilon 0.2 and 0.28, delta 3, beta 0.5,
// use_bias_correction_kl false and true.
func TestLossOfGRPOIsTRLs(t *testing.T) {
	logProbs := exectest.Value{-1.1, -0.6, -2.5, -0.4, -3, -1.2}
	old, reference := exectest.Value{-1, -0.9, -2, -1.9, -2.9, -1.3}, exectest.Value{-1.3, -0.2, -2.4, -2, -2.2, -1.25}
	advantages := exectest.Value{0.7, 0.7, 0.7, -1.3, -1.3, -1.3}
	for _, tt := range []struct {
		klIn string
		loss float64
		grad []float64
	}{
		{"loss", 0.8718749670687407, []float64{-0.09045859486069377, -0.04098539147010587, -0.07952615347277787, 0.06650862350044538, 0.09391969653341899, 0.24351791354133084}},
		{"ratio-loss", 1.1035330239966352, []float64{-0.09048374180359595, -0.044995293585866764, -0.07581633246407918, 0.597558542711742, 0.1357256127053939, 0.24405857774170558}},
	} {
		got, grads := exectest.Evaluate(t, backend(t), func(b *graph.Builder, in graph.Nodes) *graph.Node {
			tr := &Trainer{Config: Config{ClipRange: 0.2, ClipRangeHigh: 0.28, DualClip: 3, KLIn: tt.klIn}}
			p := &policyProgram{logProb: in[0], oldLogProb: in[1], advantage: in[2], referenceLogProb: in[3], klCoef: in[4]}
			return b.Scale(tr.tokenLoss(b, p), 1./6)
		}, logProbs, old, advantages, reference, exectest.Value{0.5, 0.5, 0.5, 0.5, 0.5, 0.5})
		near(t, tt.klIn, []float64{sum(got)}, []float64{tt.loss})
		near(t, "gradient of "+tt.klIn, grads[0], tt.grad)
	}
}

// With every action of a small distribution weighed by its probability the
// gradient of the bonus is that of -coef·H, through the real head.
func TestEntropyBonusHasTheGradientOfTheEntropy(t *testing.T) {
	const vocabulary, width, coef, temperature = 5, 3, 0.7, 1.3
	weight := exectest.Value{0.3, -0.2, 1, 0.5, 0.8, -0.6, -1, 0.1, 0.4, 0.9, -0.7, 0.2, -0.4, 0.6, 0.3}
	hidden := exectest.Value{0.4, -1.1, 0.8}
	b := backend(t)
	entropy := func(h []float64) (entropy float64, p []float64) {
		p, sum := make([]float64, vocabulary), 0.0
		for v := range p {
			for c, x := range h {
				p[v] += weight[v*width+c] * x / temperature
			}
			p[v] = math.Exp(p[v])
			sum += p[v]
		}
		for v := range p {
			p[v] /= sum
			entropy -= p[v] * math.Log(p[v])
		}
		return entropy, p
	}
	_, p := entropy(hidden)
	grad := headGradient(t, b, weight, hidden, p, temperature, coef)
	for c := range hidden {
		const step = 1e-5
		up, down := slices.Clone(hidden), slices.Clone(hidden)
		up[c] += step
		down[c] -= step
		high, _ := entropy(up)
		low, _ := entropy(down)
		if want := -coef * (high - low) / (2 * step); math.Abs(grad[c]-want) > differenceTolerance {
			t.Errorf("gradient[%d]: got %v, want %v", c, grad[c], want)
		}
	}
}

// headGradient is the gradient by the one hidden state of the bonus of all
// targets, weighed.
func headGradient(t *testing.T, b device.Backend, weight, hidden, weights exectest.Value, temperature, coef float64) exectest.Value {
	n := len(weights)
	g := exectest.New(device.F64, nil)
	info := graph.Matrix(device.F64, graph.Size(1), len(hidden))
	info.Trained = true
	h := g.In("h", info, hidden)
	w := g.In("w", graph.Matrix(device.F64, graph.Size(n), len(hidden)), weight)
	targets := make(exectest.Value, n)
	for i := range targets {
		targets[i] = float64(i)
	}
	rows := g.In("rows", graph.Vector(device.I32, graph.Size(n)), make(exectest.Value, n))
	head := g.LogProb(g.Gather(h, rows), w, g.In("targets", graph.Vector(device.I32, graph.Size(n)), targets), temperature)
	same := ratio(g.Builder, head.LogProb, g.Constant(head.LogProb))
	bonus := entropyBonus(g.Builder, same, head.LogProb, head.Entropy, coef)
	g.Out = g.Dot(bonus, g.In("weights", graph.Vector(device.F64, graph.Size(n)), weights))
	return exectest.Run(t, b, g, g.Gradients(t, exectest.Value{1})...)[0]
}

func TestLossesStayFinite(t *testing.T) {
	far, near := exectest.Value{-1e4, 0}, exectest.Value{0, -1e4}
	advantage := exectest.Value{-2, 2}
	loss, grads := exectest.Evaluate(t, backend(t), policyFormula(0.2, 0), near, far, advantage)
	for _, x := range slices.Concat(loss, grads[0]) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Errorf("loss %v, gradients %v", loss, grads[0])
			return
		}
	}
}
