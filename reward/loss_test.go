package reward

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

// valueTolerance is relative: both sides are float64.
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

// bt is bradleyTerry of chosen, rejected and, if there is a third, margin.
func bt(centering float64) exectest.Formula {
	return func(b *graph.Builder, in graph.Nodes) *graph.Node {
		x := inputs{Chosen: in[0], Rejected: in[1]}
		if len(in) > 2 {
			x.Margin = in[2]
		}
		return bradleyTerry(b, x, centering)
	}
}

// lists is plackettLuce of lists of one length without equals.
func lists(b *graph.Builder, in graph.Nodes) *graph.Node { return plackettLuce(b, in, listInputs{}) }

func mean(x exectest.Value) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func near(t testing.TB, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= valueTolerance*math.Abs(want)) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestLossesEqualTheReferenceValues(t *testing.T) {
	var golden struct {
		RewardModel struct {
			Chosen       exectest.Value `json:"chosen"`
			Rejected     exectest.Value `json:"rejected"`
			Margin       exectest.Value `json:"margin"`
			BT           float64        `json:"bt"`
			BTMargin     float64        `json:"bt_margin"`
			BTCenter     float64        `json:"bt_center_0p01"`
			PlackettLuce struct {
				Scores   []float64 `json:"scores_best_to_worst"`
				Loss     float64   `json:"loss"`
				AllPairs float64   `json:"all_pairs_mean"`
			} `json:"plackett_luce_3way"`
		} `json:"reward_model"`
	}
	fixture.Golden(t, &golden, "losses.json")
	b, want := backend(t), golden.RewardModel
	plain, _ := exectest.Evaluate(t, b, bt(0), want.Chosen, want.Rejected)
	near(t, "bt", mean(plain), want.BT)
	margin, _ := exectest.Evaluate(t, b, bt(0), want.Chosen, want.Rejected, want.Margin)
	near(t, "bt_margin", mean(margin), want.BTMargin)
	centred, _ := exectest.Evaluate(t, b, bt(0.01), want.Chosen, want.Rejected)
	near(t, "bt_center_0p01", mean(centred), want.BTCenter)

	var ranked []exectest.Value
	for _, s := range want.PlackettLuce.Scores {
		ranked = append(ranked, exectest.Value{s})
	}
	list, _ := exectest.Evaluate(t, b, lists, ranked...)
	near(t, "plackett_luce", list[0], want.PlackettLuce.Loss)

	pairs := rankedPairs([]int{1, 2, 3})
	var chosen, rejected exectest.Value
	for _, p := range pairs {
		chosen = append(chosen, want.PlackettLuce.Scores[p.Chosen])
		rejected = append(rejected, want.PlackettLuce.Scores[p.Rejected])
	}
	all, _ := exectest.Evaluate(t, b, bt(0), chosen, rejected)
	near(t, "all_pairs_mean", mean(all), want.PlackettLuce.AllPairs)
}

// At r_w - r_l - m = 0, 1: softplus(-x) = ln 2, 0.3132616875; centring adds
// 0.01·(2+1)² = 0.09 and 0.01·(4+0)² = 0.16.
func TestBradleyTerryByHand(t *testing.T) {
	got, grads := exectest.Evaluate(t, backend(t), bt(0.01), exectest.Value{2, 4}, exectest.Value{1, 0}, exectest.Value{1, 3})
	near(t, "loss", got[0], math.Ln2+0.09)
	near(t, "loss", got[1], 0.31326168751822286+0.16)
	near(t, "gradient", grads[0][0], -0.5+0.06) // -σ(0) + 2λ(r_w+r_l)
	near(t, "gradient", grads[1][0], 0.5+0.06)
}

func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	b := backend(t)
	one, two, three := exectest.Value{1.2, -0.3, 0.8}, exectest.Value{0.4, 0.1, 0.85}, exectest.Value{1, 0.3, 0}
	exectest.CheckGradients(t, b, differenceTolerance, bt(0.01), one, two, three)
	exectest.CheckGradients(t, b, differenceTolerance, bt(0), one, two)
	exectest.CheckGradients(t, b, differenceTolerance, lists, one, two, three)
}

// A list of two is a pair, and only differences of scores count.
func TestPlackettLuceProperties(t *testing.T) {
	b := backend(t)
	score := rapid.Float64Range(-40, 40)
	rapid.Check(t, func(r *rapid.T) {
		x, y, z := score.Draw(r, "x"), score.Draw(r, "y"), score.Draw(r, "z")
		list, _ := exectest.Evaluate(t, b, lists, exectest.Value{x}, exectest.Value{y})
		pair, _ := exectest.Evaluate(t, b, bt(0), exectest.Value{x}, exectest.Value{y})
		const rounding = 1e-13 // a few ulps of numbers of size 40
		if list[0] != pair[0] {
			r.Fatalf("list of two: %v, pair: %v", list[0], pair[0])
		}
		three, _ := exectest.Evaluate(t, b, lists, exectest.Value{x}, exectest.Value{y}, exectest.Value{z})
		moved, _ := exectest.Evaluate(t, b, lists, exectest.Value{x + 8}, exectest.Value{y + 8}, exectest.Value{z + 8})
		if math.Abs(three[0]-moved[0]) > rounding || three[0] < 0 {
			r.Fatalf("loss %v, %v with all scores moved", three[0], moved[0])
		}
	})
}

func TestLossesStayFinite(t *testing.T) {
	b, far := backend(t), exectest.Value{-1e5, 1e5}
	flipped := exectest.Value{1e5, -1e5}
	for _, f := range []exectest.Formula{bt(0.01), lists} {
		loss, grads := exectest.Evaluate(t, b, f, far, flipped)
		for _, x := range slices.Concat(loss, grads[0], grads[1]) {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Errorf("loss %v, gradients %v", loss, grads)
				break
			}
		}
	}
}

func TestRankedPairs(t *testing.T) {
	for _, c := range []struct {
		ranks []int
		want  []pair
	}{
		{[]int{2, 1, 3}, []pair{{1, 0}, {1, 2}, {0, 2}}},
		{[]int{1, 1, 2}, []pair{{0, 2}, {1, 2}}},
		{[]int{5, 5}, nil},
		{[]int{1}, nil},
		{nil, nil},
	} {
		if got := rankedPairs(c.ranks); !slices.Equal(got, c.want) {
			t.Errorf("rankedPairs(%v): got %v, want %v", c.ranks, got, c.want)
		}
	}
	if got := len(rankedPairs([]int{4, 2, 5, 1, 3, 6})); got != 15 {
		t.Errorf("six distinct ranks make %d pairs, want 6·5/2", got)
	}
}
