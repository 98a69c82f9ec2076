package ppo

import (
	"math"
	"slices"

	"align/internal/train"
)

// measureRollout adds what is known of the rollout under way, once per step,
// under TRL's names.
func (t *Trainer) measureRollout(step int, m *train.Metrics) {
	if t.measured == step {
		return
	}
	t.measured, t.stepKL, t.stepTokens = step, 0, 0
	count := 0.0
	for i := range t.episodes {
		e := &t.episodes[i]
		nonScore := 0 - t.kl.Coef*sum(e.kl) // of no divergence 0, where the negated product is -0
		ended := 0.0
		if e.Ended {
			ended = 1
		}
		m.Add("objective/kl", e.divergence(), 1)
		m.Add("objective/entropy", -sum(e.LogProbs), 1)
		m.Add("objective/non_score_reward", nonScore, 1)
		m.Add("objective/rlhf_reward", nonScore+e.Score, 1)
		m.Add("objective/scores", e.Score, 1)
		m.Add("reward", e.Raw, 1)
		m.Add("completions/mean_length", float64(len(e.IDs)), 1)
		m.Add("completions/clipped_ratio", 1-ended, 1)
		count += ended
	}
	m.Add("val/num_eos_tokens", count, 1)
	m.Add("objective/kl_coef", t.kl.Coef, 1)
	m.Add("episode", float64(t.seen), 1)
	t.measureGroups(m)
}

// measureGroups adds the spread of all scores, as TRL 1.16 has it, and how many
// prompts have none among their answers.
func (t *Trainer) measureGroups(m *train.Metrics) {
	k := t.Config.K
	if k < 2 {
		return
	}
	_, variance := moments(t.each(func(e *episode) []float64 { return []float64{e.Raw} }))
	m.Add("reward_std", math.Sqrt(variance), 1)
	for from := 0; from < len(t.episodes); from += k {
		raw := make([]float64, k)
		for i := range raw {
			raw[i] = t.episodes[from+i].Raw
		}
		zero := 0.0
		if slices.Min(raw) == slices.Max(raw) { // their variance may be a rounding
			zero = 1
		}
		m.Add("frac_reward_zero_std", zero, 1)
	}
}

// measurePolicy adds what the policy's forward pass said; lossSum is the loss times
// the step's weight.
func (t *Trainer) measurePolicy(step int, lossSum float64, b *tokens, m *train.Metrics) {
	n, p := float64(len(b.logProbs)), t.policyStep
	kl := approxKL(p.logProbs, b.logProbs)
	ratios := b.ratios(p.logProbs, t.Config.ImportanceSamplingLevel)
	m.Add("policy/approxkl_avg", kl, n)
	m.Add("policy/clipfrac_avg", float64(policyClips(ratios, b.advantages, t.Config.clipRange())), n)
	m.Add("policy/entropy_avg", sum(p.entropies), n)
	m.Add("loss/policy_avg", lossSum, b.weight)
	m.Add("val/ratio", sum(ratios), n)
	t.stepKL, t.stepTokens = t.stepKL+kl, t.stepTokens+n
	t.lastKL = t.stepKL / t.stepTokens
}

// measureCritic adds what the critic's forward pass said; the loss is shown
// without its weight VFCoef.
func (t *Trainer) measureCritic(lossSum float64, b *tokens, m *train.Metrics) {
	n := float64(len(b.values))
	if t.Config.VFCoef > 0 {
		m.Add("loss/value_avg", lossSum/t.Config.VFCoef, b.weight)
	}
	m.Add("val/clipfrac_avg", float64(valueClips(t.criticStep.values, b.values, b.returns, t.Config.ValueClipRange)), n)
}
