package plan

import (
	"context"
	"errors"
	"fmt"

	"align/datasets"
	"align/internal/cost"
	"align/internal/exec"
	"align/internal/host"
	"align/model"
	"align/ppo"
)

// PPO plans a run of ppo that trains t and samples d.
func (p *Plan) PPO(ctx context.Context, s *Stage, t Trained, c ppo.Config, d *Draws) error {
	r, err := s.sizePPO(t, c, d)
	if err != nil {
		return err
	}
	p.count(s, r.trained, r.work)
	p.Samples = int(r.rollouts * float64(c.Rollout*c.K))
	policy, err := s.fitPPO(r, c, d)
	if err != nil {
		return err
	}
	if err := p.memory(s, r.trained, r.size, r.work, policy); err != nil {
		return err
	}
	if s.cardless() {
		return nil
	}
	v, err := s.speed(ctx, policy, r.work)
	if err != nil {
		return err
	}
	step, err := s.measureDecode(ctx, d)
	if err != nil {
		return err
	}
	x := cost.Of(s.Config, r.trained.Adapter)
	passes := 2.0 // policy and reference
	trained := 1.0
	if c.Algorithm == ppo.PPO {
		passes, trained = 3, 2
	}
	share := r.rollouts / max(float64(len(d.Prompts))/float64(c.Rollout), 1e-9)
	all := d.work().Times(share)
	p.Sampling = share*s.sampleSeconds(v, d, step) + v.ForwardSeconds(x, all)*scored(d)
	p.Reference = passes * v.ForwardSeconds(x, all)
	training := trained * v.TrainSeconds(x, r.work.train)
	p.Seconds = training + p.Sampling + p.Reference
	p.TokensPerSecond = r.work.train.Tokens / training
	if p.Seconds > LongRun.Seconds() {
		p.shortenSampling("--rollout, --max-new or --steps")
	}
	return nil
}

// scored is how many passes a reward model makes over the answers.
func scored(d *Draws) float64 {
	if d.reward == "" && d.Fresh == nil {
		return 0
	}
	return 1
}

// PPODraws is what a run with the prompts samples.
func PPODraws(c ppo.Config, prompts []ppo.Prompt, longest int) *Draws {
	d := &Draws{longest: longest, k: c.K, MaxNew: c.MaxNew, sequences: c.Sequences, reward: c.Reward}
	if c.Generator != "" {
		d.sequences = 0
	}
	for _, prompt := range prompts {
		d.Prompts = append(d.Prompts, len(prompt.IDs))
	}
	return d
}

// ppoSize is a run of ppo, sized.
type ppoSize struct {
	trained  Trained
	size     *footprint
	work     *workload
	micro    []Extent // a micro-batch
	rollouts float64
	sizes    func(sequences int) (*footprint, error)
}

// sizePPO sizes a run of ppo: policy and critic with their moments, the
// reference, the engine and what scores.
func (s *Stage) sizePPO(t Trained, c ppo.Config, d *Draws) (*ppoSize, error) {
	r := &ppoSize{trained: t, micro: microBatch(c, d)}
	var err error
	if r.work, err = ppoWork(c, d, r); err != nil {
		return nil, err
	}
	r.sizes = func(sequences int) (*footprint, error) {
		f, err := s.footprint(t, r.work)
		if err != nil {
			return nil, err
		}
		with := *d
		with.sequences = sequences
		return f, errors.Join(s.engine(f, t.Adapter, &with), s.addPPO(f, c, &with, t))
	}
	r.size, err = r.sizes(d.sequences)
	return r, err
}

// addPPO adds what ppo has besides a policy: the critic, the reference, a
// scorer, and their programs.
func (s *Stage) addPPO(f *footprint, c ppo.Config, d *Draws, t Trained) error {
	f.turns = true
	pack := d.pack(ppo.PassTokens).Rounded()
	errs := []error{s.forward(f, t, pack), s.forward(f, t, pack), s.scorer(f, d)}
	if s.Settings.Adapter != "" { // the reference is a copy of it
		f.reference = 2 * int64(t.elements()) * int64(s.Act.Wide().Size())
	}
	if c.Algorithm != ppo.PPO {
		return errors.Join(errs...)
	}
	shape, err := s.Settings.LoRA(s.Config.NumLayers)
	if err != nil {
		return err
	}
	if f.critic, err = ppo.NewCritic(s.Config, shape); err != nil {
		return err
	}
	flat := int64(f.critic.Len) * int64(s.Act.Wide().Size())
	f.adapter, f.optimizer = f.adapter+2*flat, f.optimizer+2*flat
	return errors.Join(append(errs, s.scoring().forward(f, Trained{Adapter: f.critic}, pack))...)
}

// scoring is the stage for programs that end in a head, as the critic's do.
func (s *Stage) scoring() *Stage {
	scoring := *s
	scoring.Head = model.ScoreHead
	return &scoring
}

// microBatch are the answers of the largest micro-batch; those to one prompt
// share it where the rollout is not shuffled into mini-batches.
func microBatch(c ppo.Config, d *Draws) []Extent {
	list := answerExtents(min(c.Batch, max(c.Rollout*c.K, 1)), d.longest, d.MaxNew)
	for i := range list {
		if c.MiniBatches == 1 && i%c.K != 0 {
			list[i].Tokens -= d.longest
			list[i].attended -= cost.Causal(d.longest, 0)
		}
	}
	return list
}

// ppoWork is the work of all steps of a run.
func ppoWork(c ppo.Config, d *Draws, r *ppoSize) (*workload, error) {
	order, err := datasets.NewOrder(len(d.Prompts), c.Rollout, false, c.Seed)
	if err != nil {
		return nil, fmt.Errorf("ppo: %d prompts: %w", len(d.Prompts), err)
	}
	perRollout := c.PPOEpochs * min(c.MiniBatches, c.Rollout*c.K)
	w := &workload{examples: len(d.Prompts), steps: c.Steps, longest: d.longest + d.MaxNew}
	r.rollouts = float64(w.steps) / float64(perRollout)
	if w.steps == 0 {
		w.steps, r.rollouts = c.StepsOf(len(d.Prompts), c.Epochs), float64(order.Steps(c.Epochs))
	}
	var pack Extent
	for _, e := range r.micro {
		pack = pack.join(e)
	}
	w.largest = pack.Capacity.Rounded()
	perStep := float64(c.Rollout*c.K) / float64(min(c.MiniBatches, c.Rollout*c.K))
	w.packs = int(float64(w.steps)*perStep/float64(len(r.micro)) + 0.5)
	w.sequences = w.packs * len(r.micro)
	w.train = pack.work().Times(float64(w.packs))
	w.all = d.work()
	return w, nil
}

// PPOPolicy sizes the run before its weights are read, refuses what does not fit
// and tells the save policy, as SavePolicy does.
func (s *Stage) PPOPolicy(t Trained, c ppo.Config, d *Draws) (exec.SavePolicy, error) {
	r, err := s.sizePPO(t, c, d)
	if err != nil {
		return "", err
	}
	policy, err := s.fitPPO(r, c, d)
	if err != nil {
		return "", err
	}
	need, err := s.session(r.size, r.trained, r.work.largest, policy)
	s.Note(fmt.Sprintf("memory: about %s, %s of them activations (save_policy %s); answers are drawn in %s of them",
		host.FormatSize(r.size.process+r.size.fixed()+need.total()), host.FormatSize(need.activations), policy, host.FormatSize(r.size.rollout+r.size.cache)))
	return policy, err
}

// fitPPO is fitPolicy that names fewer sequences at once where those alone are
// too many.
func (s *Stage) fitPPO(r *ppoSize, c ppo.Config, d *Draws) (exec.SavePolicy, error) {
	if d.sequences > 0 {
		err := s.fitSequences(d, func(sequences int) (int64, error) {
			f, err := r.sizes(sequences)
			if err != nil {
				return 0, err
			}
			least, err := s.session(f, r.trained, r.work.largest, exec.SaveTiled)
			return f.fixed() + least.total(), err
		})
		if err != nil {
			return "", err
		}
	}
	return s.fitPolicy(r.trained, r.size, r.work, r.micro)
}
