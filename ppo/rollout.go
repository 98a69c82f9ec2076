package ppo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"align/internal/rollout"
	"align/internal/score"
	"align/internal/train"
)

// Next is the work of the next step: the next mini-batch of the rollout under
// way, or the first of a new one.
func (t *Trainer) Next() (train.Work[[]int], error) {
	if t.position >= t.Config.PPOEpochs*t.miniBatches() || t.strayed() {
		if err := t.begin(); err != nil {
			return train.Work[[]int]{}, err
		}
	}
	mini := t.miniBatch()
	t.position++
	w := train.Work[[]int]{Epoch: t.Order.Epochs()}
	for _, i := range mini {
		e := t.episodes[i]
		w.Weight += t.Config.weight(len(e.IDs))
		w.Tokens += int64(len(t.Prompts[e.Prompt].IDs) + len(e.IDs))
	}
	for from := 0; from < len(mini); from += t.Config.Batch {
		w.Micro = append(w.Micro, mini[from:min(from+t.Config.Batch, len(mini))])
	}
	return w, nil
}

// strayed says whether the policy is too far from the one that sampled to go on
// with the rollout.
func (t *Trainer) strayed() bool {
	return t.Config.StopKL > 0 && t.position > 0 && t.lastKL > t.Config.StopKL
}

// miniBatches is the number of steps of an epoch of the rollout; none is empty.
func (t *Trainer) miniBatches() int { return min(t.Config.MiniBatches, len(t.episodes)) }

// miniBatch are the episodes of the step at hand: each epoch deals them anew.
// Answers to one prompt stand side by side, so that they share it.
func (t *Trainer) miniBatch() []int {
	n := t.miniBatches()
	epoch, at := t.position/n, t.position%n
	order := make([]int, len(t.episodes))
	for i := range order {
		order[i] = i
	}
	if n > 1 {
		rng := rand.New(rand.NewPCG(t.Config.Seed, uint64(t.iteration)<<20|uint64(epoch)))
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	mini := order[at*len(order)/n : (at+1)*len(order)/n]
	slices.Sort(mini)
	return mini
}

// begin makes a new rollout: answers, scores, log-probabilities, values and
// advantages. Where that fails, as where the run is asked to end meanwhile, the
// trainer stays before it: its draws are those of its number, and come again.
func (t *Trainer) begin() (err error) {
	if err := t.check(); err != nil {
		return err
	}
	back, err := t.mark()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, back())
		}
	}()
	if len(t.episodes) > 0 && t.Config.KLTarget > 0 {
		t.kl.update(t.meanDivergence(), len(t.episodes))
	}
	t.iteration++
	t.position, t.lastKL = 0, 0
	if err := t.generate(t.Order.Next()); err != nil {
		return fmt.Errorf("ppo: rollout %d: %w", t.iteration, err)
	}
	if err := t.scoreAll(); err != nil {
		return fmt.Errorf("ppo: rollout %d: %w", t.iteration, err)
	}
	if err := t.passes(); err != nil {
		return fmt.Errorf("ppo: rollout %d: %w", t.iteration, err)
	}
	t.seen += len(t.episodes)
	return t.estimate()
}

// check holds the trainer to what its algorithm needs.
func (t *Trainer) check() error {
	if t.Config.Algorithm == PPO && (t.Critic == nil || t.Critic.Head.Len == 0) {
		return errors.New("ppo: the algorithm ppo wants a critic with a head")
	}
	if len(t.Prompts) == 0 {
		return errors.New("ppo: there are no prompts")
	}
	return nil
}

// generate fills the episodes with K answers to each prompt. The draws of every
// rollout are new ones.
func (t *Trainer) generate(indices []int) error {
	c := t.Config
	prompts := make([]rollout.Prompt, len(indices))
	for i, p := range indices {
		prompts[i] = rollout.Prompt{IDs: t.Prompts[p].IDs, Key: keyOf(t.Prompts[p].IDs)}
	}
	t.episodes = make([]episode, len(indices)*c.K)
	defer t.spent.add(&t.spent.Rollout, time.Now())
	o := rollout.Options{
		Sampling: c.sampling(), MaxNew: c.MaxNew, Samples: c.K, Stop: t.Stop,
		Seed: rollout.SampleKey(c.Seed, uint64(t.iteration), 0),
	}
	return t.Generator.Generate(t.Context, prompts, o, func(s rollout.Sample) error {
		t.episodes[s.Prompt*c.K+s.Index] = episode{Prompt: indices[s.Prompt], IDs: s.IDs, Ended: s.Finish == rollout.FinishStop}
		return nil
	})
}

// keyOf tells prompts' draws apart by their content.
func keyOf(ids []int32) uint64 {
	h := fnv.New64a()
	for _, id := range ids {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(id)))
	}
	return h.Sum64()
}

// scoreAll scores the episodes.
func (t *Trainer) scoreAll() error {
	items := make([]score.Item, len(t.episodes))
	for i, e := range t.episodes {
		p := t.Prompts[e.Prompt]
		items[i] = score.Item{Prompt: p.Text, Messages: p.Messages, Response: t.text(e.IDs), Reference: p.Reference, PromptIDs: p.IDs, ResponseIDs: e.IDs}
	}
	defer t.spent.add(&t.spent.Score, time.Now())
	scores, err := score.All(t.Context, t.Scorer, items)
	if err != nil {
		return err
	}
	t.moments.add(scores...)
	for i, s := range scores {
		t.episodes[i].Raw = s
		t.shape(&t.episodes[i])
	}
	t.noteClipped()
	return nil
}

// text is an answer's text without the id that ended it.
func (t *Trainer) text(ids []int32) string {
	if t.Decode == nil {
		return ""
	}
	if n := len(ids); n > 0 && slices.Contains(t.Stop, ids[n-1]) {
		ids = ids[:n-1]
	}
	return t.Decode(ids)
}

// meanDivergence is the mean KL from the reference of the episodes, in nats per
// answer.
func (t *Trainer) meanDivergence() float64 {
	total := 0.0
	for i := range t.episodes {
		total += t.episodes[i].divergence()
	}
	return total / float64(len(t.episodes))
}
