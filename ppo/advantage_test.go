package ppo

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestAdvantagesEqualTheReferenceValues(t *testing.T) {
	g := readGolden(t)
	p := g.PPO
	logProbs, references, values := g.rows(p.LogProbs), g.rows(p.ReferenceLogProbs), g.rows(p.Values)
	var all [][]float64
	for i := range logProbs {
		for name, want := range p.KL {
			estimate, err := estimatorByName(name)
			if err != nil {
				t.Fatal(err)
			}
			near(t, name, tokenKL(estimate, logProbs[i], references[i]), g.rows(want)[i])
		}
		rewards := tokenRewards(tokenKL(k1, logProbs[i], references[i]), p.Scores[i], p.KLCoef)
		near(t, "token rewards", rewards, g.rows(p.TokenRewards)[i])
		advantages, returns := gae(rewards, values[i], p.Gamma, p.Lambda)
		near(t, "advantages", advantages, g.rows(p.Advantages)[i])
		near(t, "returns", returns, g.rows(p.Returns)[i])
		all = append(all, advantages)
	}
	m, v := moments(all)
	near(t, "moments", []float64{m, v}, []float64{p.Mean, p.Variance})
	whiten(all...)
	near(t, "whitened", slices.Concat(all...), g.flat(p.Whitened))
}

// With λ = 1 an advantage is the discounted sum of the rewards to come, here
// 1 - 2/2 + 4/4, -2 + 4/2 and 4, less the value; with λ = 0 it is the one-step
// error.
func TestGAELimits(t *testing.T) {
	rewards, values := []float64{1, -2, 4}, []float64{0.5, 1, -1}
	one, returns := gae(rewards, values, 0.5, 1)
	near(t, "λ = 1", one, []float64{1 - 0.5, 0 - 1, 4 + 1})
	near(t, "returns", returns, []float64{1, 0, 4})
	zero, _ := gae(rewards, values, 0.5, 0)
	near(t, "λ = 0", zero, []float64{1 + 0.5 - 0.5, -2 - 0.5 - 1, 4 + 1})
	if a, r := gae(nil, nil, 1, 1); len(a) != 0 || len(r) != 0 {
		t.Errorf("of no tokens: %v, %v", a, r)
	}
}

// vectors draws sequences with numbers that differ enough to have a variance.
func vectors(r *rapid.T) [][]float64 {
	x := rapid.SliceOfN(rapid.SliceOfN(rapid.Float64Range(-100, 100), 0, 6), 1, 5).Draw(r, "sequences")
	return append(x, []float64{1, 2})
}

func TestWhitenHasMeanZeroAndVarianceOne(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x := vectors(r)
		whiten(x...)
		if m, v := moments(x); math.Abs(m) > 1e-12 || math.Abs(v-1) > 1e-6 { // var/(var+1e-8), var > 0.01
			r.Fatalf("mean %v, variance %v", m, v)
		}
	})
}

func TestWhitenScaleKeepsTheMean(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x := vectors(r)
		before, _ := moments(x)
		whitenScale(x...)
		if m, v := moments(x); math.Abs(m-before) > 1e-12*max(1, math.Abs(before)) || math.Abs(v-1) > 1e-6 {
			r.Fatalf("mean %v was %v, variance %v", m, before, v)
		}
	})
}

func TestWhitenOfTooLittle(t *testing.T) {
	whiten()
	whiten([]float64{})
	for _, x := range [][]float64{{7}, {3, 3, 3}} {
		whiten(x)
		for _, v := range x {
			if v != 0 {
				t.Errorf("numbers without a variance become %v, want 0", x)
			}
		}
	}
}

func TestGroupAdvantages(t *testing.T) {
	scores := []float64{1, 2, 6}
	near(t, "leave one out", leaveOneOut(scores), []float64{1 - 4, 2 - 3.5, 6 - 1.5})
	near(t, "centred", groupCentred(scores), []float64{-2, -1, 3})
	std := math.Sqrt(7) // (4 + 1 + 9)/2
	near(t, "relative", groupRelative(scores), []float64{-2 / (std + 1e-4), -1 / (std + 1e-4), 3 / (std + 1e-4)})
	for name, f := range map[string]func([]float64) []float64{"leaveOneOut": leaveOneOut, "groupRelative": groupRelative, "groupCentred": groupCentred} {
		near(t, name+" of one", f([]float64{5}), []float64{0})
		near(t, name+" of equals", f([]float64{5, 5}), []float64{0, 0})
		if got := f(nil); len(got) != 0 {
			t.Errorf("%s of none: %v", name, got)
		}
	}
}
