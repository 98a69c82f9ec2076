package ppo

import (
	"fmt"
	"math"
)

// maxKL bounds the estimate of one token, as in OpenRLHF and verl: one token
// that the reference finds absurd must not drown a response's reward.
const maxKL = 10

// estimator is a sample's estimate of KL(π‖ref) from ℓ = log π - log ref of one
// token.
type estimator func(l float64) float64

// The estimators of http://joschu.net/blog/kl-approx.html: k1 is unbiased and
// of high variance, k2 biased and of low variance, k3 unbiased and never
// negative.
func k1(l float64) float64 { return l }
func k2(l float64) float64 { return l * l / 2 }
func k3(l float64) float64 { return math.Expm1(-l) + l }

// estimatorByName finds k1, k2 or k3.
func estimatorByName(name string) (estimator, error) {
	switch name {
	case "k1":
		return k1, nil
	case "k2":
		return k2, nil
	case "k3":
		return k3, nil
	}
	return nil, fmt.Errorf("ppo: kl_estimator must be one of k1, k2, k3, got %q", name)
}

// tokenKL is the estimate at each token of a response, with ℓ held to
// ±maxLogRatio and the result to ±maxKL.
func tokenKL(estimate estimator, logProbs, referenceLogProbs []float64) []float64 {
	kl := make([]float64, len(logProbs))
	for t := range kl {
		l := clamp(logProbs[t]-referenceLogProbs[t], maxLogRatio)
		kl[t] = clamp(estimate(l), maxKL)
	}
	return kl
}

func clamp(x, limit float64) float64 { return min(max(x, -limit), limit) }

// tokenRewards are the rewards of a response's tokens: -coef·KL at each, and
// the score of the whole response at its last one, the end-of-turn token where
// there is one. (TRL puts the score one place later, on the first padding
// token; its curves differ for that: https://github.com/huggingface/trl/issues/1893.)
func tokenRewards(kl []float64, score, coef float64) []float64 {
	rewards := make([]float64, len(kl))
	for t := range rewards {
		rewards[t] = -coef * kl[t]
	}
	if len(rewards) > 0 {
		rewards[len(rewards)-1] += score
	}
	return rewards
}

// adaptiveKL steers the KL coefficient towards a target, section 2.2 of
// https://arxiv.org/abs/1909.08593 with n/horizon of its code for K_β:
//
//	e = clip(KL/target - 1, -0.2, 0.2)
//	coef ← coef·(1 + e·n/horizon)
//
// where KL is per response, summed over its tokens, and n the number of
// responses since the last update. Usual are target 6 nats, horizon 10000.
// Coef is all that a checkpoint must keep.
type adaptiveKL struct{ Coef, Target, Horizon float64 }

// maxKLError is the clip of the proportional error in adaptiveKL's paper.
const maxKLError = 0.2

func (a *adaptiveKL) update(kl float64, responses int) {
	e := clamp(kl/a.Target-1, maxKLError)
	a.Coef *= 1 + e*float64(responses)/a.Horizon
}
