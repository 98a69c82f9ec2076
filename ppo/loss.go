package ppo

import (
	"math"

	"align/internal/graph"
)

// The losses are float64 vectors of length N, one element per token of a
// response. The loss of a mini-batch is b.Dot(perToken, weights), where the weights
// are those of the whole mini-batch (see mean.go): the same however it is cut into
// micro-batches.

// maxLogRatio keeps e^x of a difference of log-probabilities finite where a
// policy has run away; verl and OpenRLHF clamp at the same place.
const maxLogRatio = 20

// ratio is r_t(θ) = π(a_t|s_t)/π_old(a_t|s_t), from log-probabilities.
func ratio(b *graph.Builder, logProb, oldLogProb *graph.Node) *graph.Node {
	return b.Exp(b.Clamp(b.Sub(logProb, oldLogProb), -maxLogRatio, maxLogRatio))
}

// sequenceRatio gives every token of an answer y the ratio of the whole answer,
// equation 7 of https://arxiv.org/abs/2507.18071 (GSPO): the geometric mean of its
// tokens' ratios,
//
//	s(θ) = (π(y|x)/π_old(y|x))^(1/|y|)
//
// from log π(y|x), log π_old(y|x) and |y| [S], and the sequence of each token,
// int32 [N]. A nil length leaves the root out: the importance of the answer as one
// action, which is that of REINFORCE in https://arxiv.org/abs/2402.14740.
func sequenceRatio(b *graph.Builder, logProb, oldLogProb, length, sequence *graph.Node) *graph.Node {
	l := b.Sub(logProb, oldLogProb)
	if length != nil {
		l = b.Div(l, length)
	}
	return b.Pick(b.Exp(b.Clamp(l, -maxLogRatio, maxLogRatio)), sequence)
}

// policyLoss is the clipped surrogate, equation 7 of
// https://arxiv.org/abs/1707.06347 with the sign of a loss, where ρ is the
// ratio, A the advantage and ε the clip range, which may be wider above 1 than
// below (https://arxiv.org/abs/2503.14476, section 3.1):
//
//	L = max( -A·ρ, -A·clip(ρ, 1-ε_low, 1+ε_high) )
//
// With dualClip c > 1+ε_high (0 leaves it out; 3 is usual) the loss of a negative
// advantage is at most -c·A (https://arxiv.org/abs/1912.09729).
// That is the same as holding ρ under c in the first term: where A is positive
// and ρ above c, the second term is the larger one anyway.
func policyLoss(b *graph.Builder, ratio, advantage *graph.Node, clip clipRange, dualClip float64) *graph.Node {
	loss := b.Neg(advantage)
	clipped := b.Mul(loss, b.Clamp(ratio, 1-clip.low, 1+clip.high))
	if dualClip > 0 {
		ratio = b.Clamp(ratio, math.Inf(-1), dualClip)
	}
	return b.Max(b.Mul(loss, ratio), clipped)
}

// valueLoss is the clipped value loss of https://arxiv.org/abs/2005.12729,
// section 3 (and of the code of PPO's authors), where V is the value, V_old the
// value at the rollout, R the return and ε the valueClipRange:
//
//	L = ½·max( (V - R)², (V_old + clip(V - V_old, -ε, ε) - R)² )
func valueLoss(b *graph.Builder, value, oldValue, returns *graph.Node, valueClipRange float64) *graph.Node {
	step := b.Clamp(b.Sub(value, oldValue), -valueClipRange, valueClipRange)
	plain := b.Square(b.Sub(value, returns))
	clipped := b.Square(b.Sub(b.Add(oldValue, step), returns))
	return b.Scale(b.Max(plain, clipped), 0.5)
}

// entropyBonus is a loss whose gradient is an unbiased estimate of that of
// -coef·H, the entropy bonus of equation 9 of https://arxiv.org/abs/1707.06347.
// The head differentiates only the log-probability of the sampled token, so the
// score function stands in for the derivative of the entropy:
//
//	∇H = -E_{a~π}[ (log π(a) + H)·∇log π(a) ]
//	L  = coef·(log π(a) + H)·ρ,  the bracket a constant
//
// where ρ, whose gradient is ρ·∇log π(a), also weighs samples of π_old. The
// value of L is near 0 and means nothing: log the entropy instead.
func entropyBonus(b *graph.Builder, ratio, logProb, entropy *graph.Node, coef float64) *graph.Node {
	surprise := b.Constant(b.Add(logProb, entropy))
	return b.Scale(b.Mul(surprise, ratio), coef)
}

// klLoss is the estimate k3 of KL(π‖ref) as a term of the loss, equation 4 of
// https://arxiv.org/abs/2402.03300 (GRPO), ℓ = log π - log ref:
//
//	L = e^-ℓ - 1 + ℓ
//
// By itself its gradient is that of KL(ref‖π) in expectation; times the ratio it is
// that of KL(π‖ref), also of tokens that an older policy drew (section 3.1 of
// https://arxiv.org/abs/2512.02556).
func klLoss(b *graph.Builder, logProb, referenceLogProb *graph.Node) *graph.Node {
	l := b.Clamp(b.Sub(logProb, referenceLogProb), -maxLogRatio, maxLogRatio)
	return b.Add(b.Shift(b.Exp(b.Neg(l)), -1), l)
}
