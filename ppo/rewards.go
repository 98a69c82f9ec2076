package ppo

import (
	"fmt"
	"math"
)

// shape is a scorer's score on its way to the one that is used: normalised,
// clipped, and less what the answer's end and length cost.
func (t *Trainer) shape(e *episode) {
	c := t.Config
	score := e.Raw
	if c.NormaliseScores {
		score = t.moments.normalise(score)
	}
	if c.ScoreClip > 0 {
		score = clamp(score, c.ScoreClip)
	}
	if !e.Ended {
		score -= c.MissingEOSPenalty
	}
	e.Score = score + overlongPenalty(len(e.IDs), c.MaxNew, c.OverlongBuffer, c.OverlongFactor)
}

// noteClipped tells, once, that scores lie beyond score_clip: answers of one
// prompt that are all held to it teach nothing, whatever their scores say.
func (t *Trainer) noteClipped() {
	if t.clipTold || t.Note == nil || t.Config.ScoreClip == 0 || t.Config.NormaliseScores {
		return
	}
	beyond, most := 0, 0.0
	for _, e := range t.episodes {
		if math.Abs(e.Raw) > t.Config.ScoreClip {
			beyond++
		}
		most = max(most, math.Abs(e.Raw))
	}
	if beyond > 0 {
		t.clipTold = true
		t.Note(fmt.Sprintf("score_clip: %d of %d scores of rollout %d are beyond %v and count as that (the largest is %.4g): answers that count alike teach nothing; --score-clip 0 takes scores as they are, --normalise-scores on brings them within it",
			beyond, len(t.episodes), t.iteration, t.Config.ScoreClip, most))
	}
}

// estimate fills in what follows from the scores, log-probabilities and values
// of the whole rollout: each token's reward, advantage and return.
func (t *Trainer) estimate() error {
	kl, err := estimatorByName(t.Config.KLEstimator)
	if err != nil {
		return err
	}
	coef := t.kl.Coef
	if t.Config.KLIn != "reward" {
		coef = 0
	}
	for i := range t.episodes {
		e := &t.episodes[i]
		e.kl = tokenKL(kl, e.LogProbs, e.Reference)
		e.rewards = tokenRewards(e.kl, e.Score, coef)
	}
	if t.Config.Algorithm == PPO {
		t.estimateByCritic()
	} else {
		t.estimateByGroup()
	}
	return nil
}

// estimateByCritic is generalised advantage estimation, whitened over the
// rollout. The returns are of the advantages before that.
func (t *Trainer) estimateByCritic() {
	c := t.Config
	if c.WhitenRewards {
		whitenScale(t.each(func(e *episode) []float64 { return e.rewards })...)
	}
	for i := range t.episodes {
		e := &t.episodes[i]
		e.advantages, e.returns = gae(e.rewards, e.Values, c.Gamma, c.Lambda)
	}
	if c.WhitenAdvantages {
		whiten(t.each(func(e *episode) []float64 { return e.advantages })...)
	}
}

func (t *Trainer) each(f func(*episode) []float64) [][]float64 {
	list := make([][]float64, len(t.episodes))
	for i := range list {
		list[i] = f(&t.episodes[i])
	}
	return list
}

// estimateByGroup gives every token of an answer the answer's advantage over
// the others to its prompt, by the sum of its rewards: score and divergence.
func (t *Trainer) estimateByGroup() {
	k := t.Config.K
	for from := 0; from < len(t.episodes); from += k {
		group := t.episodes[from : from+k]
		totals := make([]float64, k)
		for i := range group {
			totals[i] = sum(group[i].rewards)
		}
		for i, a := range t.baseline(totals) {
			group[i].advantages = make([]float64, len(group[i].IDs))
			for at := range group[i].advantages {
				group[i].advantages[at] = a
			}
		}
	}
}

func (t *Trainer) baseline(totals []float64) []float64 {
	switch {
	case t.Config.Algorithm == RLOO:
		return leaveOneOut(totals)
	case t.Config.ScaleRewards:
		return groupRelative(totals)
	}
	return groupCentred(totals)
}
