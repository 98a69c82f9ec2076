package dpo_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"align/datasets"
	"align/dpo"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/optim"
	"align/internal/train"
	"align/model"
)

// arms is the number of tokens of the bandit, each an answer; armRewards are
// the rewards.
const arms = 8

var armRewards = [arms]float64{1, -1, 0.5, 0, -0.5, 0.8, 0.2, -0.2}

// armPairs has every arm against the first: their log-probabilities are those
// of all answers.
func armPairs() []datasets.Pair {
	var pairs []datasets.Pair
	for i := 1; i < arms; i++ {
		pairs = append(pairs, datasets.Pair{Prompt: []int32{3}, Chosen: []int32{0}, Rejected: []int32{int32(i)}})
	}
	return pairs
}

// banditModel is a small model whose tokens are the arms, with all its weights.
func banditModel(t *testing.T) (*model.Model, *model.Full, *cpu.Backend) {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, full, err := model.NewRandom(model.Config{
		HiddenSize: 32, IntermediateSize: 32, NumLayers: 1, NumHeads: 2, NumKVHeads: 2, HeadDim: 16,
		VocabSize: arms, ContextLength: 32, RMSNormEps: 1e-5, RopeTheta: 10000, BOS: -1,
	}, b, device.F32, 17, 0.15)
	if err != nil {
		t.Fatal(err)
	}
	return m, full, b
}

// armLogProbs are log π(y) of the model as it is.
func armLogProbs(t *testing.T, m *model.Model) (list [arms]float64) {
	t.Helper()
	both, err := (&dpo.Referee{Model: m, Batch: arms}).LogProbs(context.Background(), armPairs())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range both {
		list[0], list[i+1] = r.Chosen, r.Rejected
	}
	return list
}

// preferences draws pairs of answers from π* ∝ π_ref·e^(r/β) and puts the one
// first that wins by Bradley and Terry, σ(r_1 - r_2).
func preferences(reference [arms]float64, beta float64, n int) (pairs []datasets.Pair, optimum [arms]float64) {
	total := 0.0
	for i, l := range reference {
		optimum[i] = math.Exp(l + armRewards[i]/beta)
		total += optimum[i]
	}
	for i := range optimum {
		optimum[i] /= total
	}
	r := rand.New(rand.NewPCG(8, 1))
	draw := func() int {
		at, u := 0, r.Float64()
		for u >= optimum[at] && at < arms-1 {
			u -= optimum[at]
			at++
		}
		return at
	}
	for len(pairs) < n {
		x, y := draw(), draw()
		if x == y {
			continue
		}
		if r.Float64() >= 1/(1+math.Exp(armRewards[y]-armRewards[x])) {
			x, y = y, x
		}
		pairs = append(pairs, datasets.Pair{Prompt: []int32{3}, Chosen: []int32{int32(x)}, Rejected: []int32{int32(y)}})
	}
	return pairs, optimum
}

// rewardTolerance is four standard errors of the reward of an arm that is in a
// tenth of the 2¹⁶ pairs, 4/√(2¹⁶/10·σ'), with σ' = 1/4; rarer ones have more.
const rewardTolerance = 0.1

// DPO on preferences over answers of the optimal policy finds the reward that
// made them, up to a constant, as the policy's own: r = β·log(π/π_ref) + c
// (https://arxiv.org/abs/2305.18290, equation 5).
func TestDPORecoversTheRewardOfABandit(t *testing.T) {
	m, full, b := banditModel(t)
	c := dpo.DefaultConfig()
	c.Beta, c.Batch = 0.5, 256
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		t.Fatal(err)
	}
	const drawn, steps = 1 << 16, 256
	before := armLogProbs(t, m)
	pairs, optimum := preferences(before, c.Beta, drawn)
	trainer := &dpo.Trainer{Config: c, Loss: loss, Model: m, Full: full, Save: exec.SaveAll, Pairs: pairs}
	for _, p := range pairs {
		trainer.References = append(trainer.References, dpo.Reference{Chosen: before[p.Chosen[0]], Rejected: before[p.Rejected[0]]})
	}
	order, err := datasets.NewOrder(len(pairs), c.Batch, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = train.Run(context.Background(), train.Options{
		Method: "dpo", Run: t.TempDir(), Steps: steps, Keep: 1,
		Schedule: optim.Schedule{Kind: "linear", LearningRate: 3e-3, Steps: steps}, AdamW: optim.DefaultConfig(),
	}, b, &train.Full{Model: m, Full: full}, &train.Batches{Order: order, PerMicro: c.Batch, Weigh: trainer.Weigh}, trainer, &losses{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	after, constant := armLogProbs(t, m), 0.0
	var found [arms]float64
	for i := range found {
		found[i] = c.Beta * (after[i] - before[i])
		constant += optimum[i] * (found[i] - armRewards[i])
	}
	for i, r := range armRewards {
		if off := found[i] - constant - r; math.Abs(off) > rewardTolerance*max(1, math.Sqrt(0.1/optimum[i])) {
			t.Errorf("arm %d (probability %.3f): reward %.3f, want %.3f", i, optimum[i], found[i]-constant, r)
		}
	}
	variation := 0.0
	for i := range optimum {
		variation += math.Abs(math.Exp(after[i])-optimum[i]) / 2
	}
	if variation > 0.02 {
		t.Errorf("total variation %.4f from π*, want at most 0.02", variation)
	}
	t.Logf("rewards %.3f for %.3f, total variation %.4f", found, armRewards, variation)
}
