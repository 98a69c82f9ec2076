package ppo

import (
	"context"
	"fmt"
	"math"
	"time"

	"align/datasets"
	"align/internal/exec"
	"align/internal/rollout"
	"align/internal/score"
	"align/internal/train"
	"align/model"
)

// Trainer is the source of a run's steps and the method that takes them.
type Trainer struct {
	Config Config
	// Context ends a rollout under way, which is made anew when the run goes on.
	Context context.Context
	Model   *model.Model
	// Policy is trained; Reference is what it is held to, nil for the base;
	// Critic has a head, and is nil but for the algorithm ppo.
	Policy, Reference, Critic *model.Adapter
	Save                      exec.SavePolicy
	// Shared, if not nil, is the memory that all passes use in turns, which may be
	// the generator's and the scorer's too.
	Shared *model.Shared
	// Generator samples from the policy as it is at the time.
	Generator rollout.Generator
	Scorer    score.Scorer
	// Decode is the text of ids, for rules and commands.
	Decode func([]int32) string
	// Stop ids end an answer.
	Stop    []int32
	Prompts []Prompt
	// Note, if not nil, takes a line that the user should read.
	Note func(string)
	// Order deals the prompts, Config.Rollout at a time.
	Order *datasets.Order

	// What a checkpoint keeps.
	iteration, position, seen int
	lastKL                    float64 // of the mini-batch just done, per token
	kl                        adaptiveKL
	moments                   runningMoments
	episodes                  []episode

	policy, reference, policyStep *policyProgram
	critic, criticStep            *criticProgram
	pack                          datasets.Pack
	clipTold                      bool
	measured                      int // the step whose rollout metrics are reported
	spent                         Spent
	stepKL, stepTokens            float64
}

var (
	_ train.Source[[]int] = (*Trainer)(nil)
	_ train.Method[[]int] = (*Trainer)(nil)
)

// New is a trainer with its counters at the start.
func New(c Config, t Trainer) (*Trainer, error) {
	order, err := datasets.NewOrder(max(len(t.Prompts), 0), c.Rollout, c.Order == "shuffle", c.Seed)
	if err != nil {
		return nil, fmt.Errorf("ppo: %d prompts: %w", len(t.Prompts), err)
	}
	t.Config, t.Order = c, order
	t.kl = adaptiveKL{Coef: c.KLCoef, Target: c.KLTarget, Horizon: c.KLHorizon}
	return &t, nil
}

// Steps is the number of optimizer steps of so many passes over the prompts.
func (t *Trainer) Steps(epochs float64) int {
	return t.Config.StepsOf(len(t.Prompts), epochs)
}

// Close gives the programs' memory back.
func (t *Trainer) Close() {
	for _, p := range []*policyProgram{t.policy, t.reference, t.policyStep} {
		if p != nil {
			p.session.Close()
		}
	}
	for _, p := range []*criticProgram{t.critic, t.criticStep} {
		if p != nil {
			p.session.Close()
		}
	}
	t.policy, t.reference, t.policyStep, t.critic, t.criticStep = nil, nil, nil, nil, nil
}

// tokens are what is known of a micro-batch's tokens, all [N], and the lengths of
// its answers, [S].
type tokens struct {
	logProbs, reference, advantages []float64
	values, returns, weights        []float64
	lengths                         []float64
	weight                          float64 // of the step's
}

// sums are those of x[N] over each answer, [S].
func (b *tokens) sums(x []float64) []float64 {
	sums, at := make([]float64, len(b.lengths)), 0
	for i, n := range b.lengths {
		sums[i] = sum(x[at : at+int(n)])
		at += int(n)
	}
	return sums
}

func (t *Trainer) tokens(indices []int, weight float64) *tokens {
	b := &tokens{}
	for _, i := range indices {
		e := &t.episodes[i]
		b.logProbs, b.reference = append(b.logProbs, e.LogProbs...), append(b.reference, e.Reference...)
		b.advantages = append(b.advantages, e.advantages...)
		b.values, b.returns = append(b.values, e.Values...), append(b.returns, e.returns...)
		b.lengths = append(b.lengths, float64(len(e.IDs)))
		b.weight += t.Config.weight(len(e.IDs))
		for range e.IDs {
			b.weights = append(b.weights, t.Config.tokenWeight(len(e.IDs), weight))
		}
	}
	return b
}

// Micro runs one micro-batch of episodes; weight is that of the whole mini-batch: its
// tokens, or its answers, by loss_mean.
func (t *Trainer) Micro(step int, indices []int, weight float64) (float64, train.Metrics, error) {
	var m train.Metrics
	defer t.spent.add(&t.spent.Update, time.Now())
	t.lay(indices)
	size, b := model.SizeOf(&t.pack, 0), t.tokens(indices, weight)
	if err := model.Grow(&t.policyStep, size, t.policyOf(t.Policy, true)); err != nil {
		return 0, nil, err
	}
	loss, err := t.policyStep.step(&t.pack, b, t.kl.Coef)
	if err != nil {
		return 0, nil, err
	}
	if err := t.checkRatio(step, b); err != nil {
		return 0, nil, err
	}
	t.measureRollout(step, &m)
	t.measurePolicy(step, loss*weight, b, &m)
	if t.Config.Algorithm != PPO {
		return loss, m, nil
	}
	if err := model.Grow(&t.criticStep, size, t.criticOf(true)); err != nil {
		return 0, nil, err
	}
	valueLoss, err := t.criticStep.step(&t.pack, b)
	if err != nil {
		return 0, nil, err
	}
	t.measureCritic(valueLoss*weight, b, &m)
	return loss + valueLoss, m, nil
}

// checkRatio holds the first step of a rollout to a ratio of exactly 1 at every
// token: the policy that learns is the one that sampled, to the bit.
func (t *Trainer) checkRatio(step int, b *tokens) error {
	if t.position != 1 { // Next has counted this step
		return nil
	}
	for i, l := range t.policyStep.logProbs {
		if l != b.logProbs[i] {
			return fmt.Errorf("ppo: step %d: the first ratio of token %d is %v, want exactly 1: the policy changed between its rollout and its first step, or its log-probabilities depend on the batch",
				step, i+1, math.Exp(l-b.logProbs[i]))
		}
	}
	return nil
}
