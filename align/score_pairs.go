package align

import (
	"context"

	"align/datasets"
	"align/dpo"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/internal/device"
	"align/internal/score"
	"align/internal/train"
	"align/internal/winrate"
	"align/model"
	"align/reward"
)

// PairScoreOptions say which pairs to score, and by what: a policy against a
// reference, or a reward model.
type PairScoreOptions struct {
	// ScoreOptions name the policy; their Data is a file of preference pairs.
	ScoreOptions
	// Reward is a reward model in the policy's place, "" for none.
	Reward string
	// Loss is the one, or the weighted sum, whose rewards are told, in dpo's words, and
	// Beta weighs them; "" and 0 are those that the policy's run was trained with, else
	// dpo's own.
	Loss string
	Beta float64
	// Ref is the reference: "base", the model without the adapter, the folder of
	// another, or "off", rewards of the log-probabilities themselves; "" is off for a
	// model alone and a loss without a reference, and else what the policy's run was
	// trained against, base for an adapter that is of no run.
	Ref string
}

// ScoredPair is the reward of both answers of a pair, in TRL's words: that of a
// policy is beta log(policy/reference), beside the answers' log-probabilities in
// nats, all of them means of an answer's tokens under a loss that compares those; a
// reward model's is its score.
type ScoredPair struct {
	Place           string  `json:"place"`
	Chosen          float64 `json:"rewards/chosen"`
	Rejected        float64 `json:"rewards/rejected"`
	Margin          float64 `json:"rewards/margins"`
	ChosenLogProb   float64 `json:"logps/chosen,omitzero"`
	RejectedLogProb float64 `json:"logps/rejected,omitzero"`
}

// PairSummary is what the pairs come to.
type PairSummary struct {
	Pairs int
	// Right counts the pairs whose chosen answer has the higher reward; a tie is
	// wrong, as in training's evaluation.
	Right int
	// Accuracy is their share, Low and High bound it with 95 per cent confidence.
	Accuracy, Low, High float64
	// Means are those of a ScoredPair's numbers, under their names.
	Means train.Metrics
}

// ScorePairs scores the pairs in the order of the file and hands each to emit.
// Malformed records stop it; those that teach nothing are left out and counted.
func ScorePairs(ctx context.Context, o PairScoreOptions, env Environment, emit func(ScoredPair) error) (PairSummary, error) {
	var scored []ScoredPair
	var err error
	if o.Reward != "" {
		scored, err = pairsByReward(ctx, o, env)
	} else {
		scored, err = pairsByPolicy(ctx, o, env)
	}
	if err != nil {
		return PairSummary{}, err
	}
	for _, s := range scored {
		if err := emit(s); err != nil {
			return PairSummary{}, err
		}
	}
	return summarise(scored, o.Reward == ""), nil
}

func summarise(scored []ScoredPair, logProbs bool) PairSummary {
	s := PairSummary{Pairs: len(scored)}
	for _, p := range scored {
		if p.Margin > 0 {
			s.Right++
		}
		s.Means.Add("rewards/margins", p.Margin, 1)
		s.Means.Add("rewards/chosen", p.Chosen, 1)
		s.Means.Add("rewards/rejected", p.Rejected, 1)
		if logProbs {
			s.Means.Add("logps/chosen", p.ChosenLogProb, 1)
			s.Means.Add("logps/rejected", p.RejectedLogProb, 1)
		}
	}
	n := float64(max(1, s.Pairs))
	s.Accuracy = float64(s.Right) / n
	s.Low, s.High = winrate.Wilson(s.Accuracy, n)
	return s
}

// scoredPairsBatch is the number of pairs of a pack.
const scoredPairsBatch = 4

// pairsByPolicy scores by the policy's log-probabilities and the reference's.
func pairsByPolicy(ctx context.Context, o PairScoreOptions, env Environment) ([]ScoredPair, error) {
	ref := o.Ref
	if ref == "off" || ref == "base" {
		ref = ""
	}
	if err := checkNamed(ctx, o.Adapter, ref, ""); err != nil {
		return nil, err
	}
	by, err := o.measure(env)
	if err != nil {
		return nil, err
	}
	base, err := basemodel.ResolveUntil(ctx, o.Model)
	if err != nil {
		return nil, err
	}
	pairs, b, act, err := o.open(ctx, base, env)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	m, adapter, err := openModel(base, o.Quantize, o.Adapter, b, act, env)
	if err != nil {
		return nil, err
	}
	noteBeyond(pairs, pairTokens, m, env)
	reference, whose, err := o.reference(m, adapter, by)
	if err != nil {
		return nil, err
	}
	env.note("reference: " + whose)
	policy, err := by.logProbs(ctx, m, adapter, pairs, env, "the policy")
	if err != nil {
		return nil, err
	}
	refs := make([]dpo.Reference, len(pairs))
	if whose != by.noReference() {
		if refs, err = by.logProbs(ctx, m, reference, pairs, env, "the reference"); err != nil {
			return nil, err
		}
	}
	scored := make([]ScoredPair, len(pairs))
	for i, p := range policy {
		chosen, rejected := dpo.ImplicitReward(by.beta, p.Chosen, refs[i].Chosen), dpo.ImplicitReward(by.beta, p.Rejected, refs[i].Rejected)
		scored[i] = ScoredPair{pairs[i].Place, chosen, rejected, chosen - rejected, p.Chosen, p.Rejected}
	}
	return scored, nil
}

func (by measure) logProbs(ctx context.Context, m *model.Model, a *model.Adapter, pairs []datasets.Pair, env Environment, whose string) ([]dpo.Reference, error) {
	report := env.progress("computing the log-probabilities of " + whose)
	r := &dpo.Referee{
		Model: m, Adapter: a, Batch: scoredPairsBatch, MaskFormat: by.maskFormat, PerToken: by.loss.PerToken(),
		Progress: func(done, total int) { report(int64(done), int64(total)) },
	}
	return r.LogProbs(ctx, pairs)
}

// pairsByReward scores by a reward model.
func pairsByReward(ctx context.Context, o PairScoreOptions, env Environment) ([]ScoredPair, error) {
	base, quantize, err := o.rewardBase(o.Reward)
	if err != nil {
		return nil, err
	}
	pairs, b, act, err := o.open(ctx, base, env)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	m, err := loadBase(base, quantize, b, act, env)
	if err != nil {
		return nil, err
	}
	s, err := reward.Load(o.Reward, m)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var items []score.Item
	for _, p := range pairs {
		items = append(items, score.Item{PromptIDs: p.Prompt, ResponseIDs: p.Chosen}, score.Item{PromptIDs: p.Prompt, ResponseIDs: p.Rejected})
	}
	scores, err := score.All(ctx, s, items)
	if err != nil {
		return nil, err
	}
	scored := make([]ScoredPair, len(pairs))
	for i, p := range pairs {
		chosen, rejected := scores[2*i], scores[2*i+1]
		scored[i] = ScoredPair{Place: p.Place, Chosen: chosen, Rejected: rejected, Margin: chosen - rejected}
	}
	return scored, nil
}

// open reads the pairs as the base's tokenizer and template have them, and opens the
// device that scores them.
func (o PairScoreOptions) open(ctx context.Context, base string, env Environment) (pairs []datasets.Pair, b compute.Backend, act device.Type, err error) {
	options, err := o.readers(base, env)
	if err != nil {
		return nil, nil, 0, err
	}
	pairs, summary, err := datasets.ReadPairs(ctx, o.Data, options)
	if err != nil {
		return nil, nil, 0, err
	}
	env.noteRead(summary)
	b, act, err = openDevice(o.Compute, base, env)
	return pairs, b, act, err
}
