// Package ppo improves a policy by its own answers: it samples, scores them and
// takes clipped steps towards the better ones (https://arxiv.org/abs/1707.06347,
// https://arxiv.org/abs/2203.02155), with a critic (ppo) or with the other
// answers to the same prompt as the baseline (rloo, grpo).
//
// The type to know is Trainer, which is both the source of the steps' work and
// their method. rollout.go makes a rollout, passes.go the log-probabilities and
// values of it, rewards.go what each token earned, train.go the step, policy.go
// and critic.go its two graphs, state.go what a checkpoint keeps, subject.go
// the trained buffers. The formulae are in loss.go, advantage.go, kl.go and
// score.go. Policy, reference, critic and reward model are adapters on one base.
//
// The temperature of the rollout divides the logits in every later pass. Means
// are over all tokens of a mini-batch, however it is cut into micro-batches.
package ppo
