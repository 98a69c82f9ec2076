package align

import (
	"context"
	"fmt"
	"path/filepath"

	"align/datasets"
	"align/internal/checkpoint"
	"align/internal/exec"
	"align/internal/plan"
	"align/internal/rollout"
	"align/internal/score"
	"align/internal/train"
	"align/model"
	"align/ppo"
)

// PPO improves a policy by its own answers: it samples, scores them with a
// reward model or a rule, and learns, by the config. explicit are the keys that
// the user named, as opposed to defaults.
func PPO(ctx context.Context, c ppo.Config, explicit []string, env Environment) (result Result, err error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	s := &stage{method: "ppo", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	early, ended := s.early(ctx)
	defer ended(&result, &err)
	if err := (judge{c.Reward, c.Scorer}).check(); err != nil {
		return Result{}, err
	}
	if err := s.begin(early, &c, ""); err != nil {
		return Result{}, err
	}
	p, err := s.prompts(early, c)
	if err != nil {
		return Result{}, err
	}
	if err := s.sameData(p.hash, c.Steps); err != nil {
		return Result{}, err
	}
	policy, err := s.ppoPolicy(c, p)
	if err != nil {
		return Result{}, err
	}
	subject, err := s.policyAndCritic(c)
	if err != nil {
		return Result{}, err
	}
	t, judge, err := s.ppoTrainer(early, c, p, policy, subject.Critic)
	if err != nil {
		return Result{}, err
	}
	defer t.Close()
	if t.Generator, err = s.generator(early, c, t, p.longest, subject.Base); err != nil {
		return Result{}, err
	}
	defer t.Generator.Close()
	steps := c.Steps
	if steps == 0 {
		steps = t.Steps(c.Epochs)
		env.note(fmt.Sprintf("steps: %d (%v epochs of %d prompts, %d to a rollout, %d steps each%s)", steps, c.Epochs, len(p.list), c.Rollout, c.PPOEpochs*min(c.MiniBatches, c.Rollout*c.K), fewer(c, len(p.list))))
	}
	s.deriveEvery(steps, t.Steps(1))
	s.noteWarmup(steps)
	if err := s.startRun(&c); err != nil {
		return Result{}, err
	}
	if err := p.quarantine.keep(s.run); err != nil {
		return Result{}, err
	}
	lineage := s.lineage(&c, p.hash)
	lineage["judge"], lineage["stop ids"] = judge.hash, fmt.Sprint(t.Stop)
	if judge.shape != "" {
		lineage["judge's shape"], lineage["judge's encoding"] = judge.shape, judge.encoding
	}
	o := s.options(steps, lineage)
	o.Groups = subject.Groups(c.CriticLearningRate, c.LoRAPlusRatio)
	report, end, err := s.reporter()
	if err != nil {
		return Result{}, err
	}
	r, err := train.Run[[]int](ctx, o, s.backend, subject, t, t, report, env.Stop)
	end(r, err)
	if err == nil {
		env.note(fmt.Sprintf("time: %s", t.Spent()))
		s.conclude(r)
	}
	if err != nil || r.Ended != train.Continue {
		return Result{Result: r, Run: s.run}, err
	}
	return Result{Result: r, Run: s.run}, s.exportAdapter()
}

// fewer tells of the last rollout of a pass, where it has answers for fewer steps.
func fewer(c ppo.Config, prompts int) string {
	if last := min(c.MiniBatches, (prompts-(prompts-1)/c.Rollout*c.Rollout)*c.K); last < min(c.MiniBatches, c.Rollout*c.K) {
		return fmt.Sprintf(", %d of a pass's last", c.PPOEpochs*last)
	}
	return ""
}

// generator draws the answers: the engine of this process, or a server.
func (s *stage) generator(ctx context.Context, c ppo.Config, t *ppo.Trainer, longest int, base string) (rollout.Generator, error) {
	if c.Generator != "" {
		return s.openPolicyServer(ctx, c.Generator, base, t.Stop, c.Sequences)
	}
	return rollout.New(s.model, s.adapter, rollout.Limits{Prompt: longest, Answer: c.MaxNew, Sequences: c.Sequences, Shared: t.Shared})
}

// promptData are the prompts of a run.
type promptData struct {
	list       []ppo.Prompt
	longest    int // in tokens
	hash       string
	quarantine quarantine
}

// prompts reads the prompts; those that leave no room for an answer are dropped
// and counted.
func (s *stage) prompts(ctx context.Context, c ppo.Config) (*promptData, error) {
	room := min(s.settings.MaxLength, s.config.ContextLength) - c.MaxNew
	if room < 1 {
		return nil, fmt.Errorf("max_new is %d: it leaves no room for a prompt in max_length %d", c.MaxNew, min(s.settings.MaxLength, s.config.ContextLength))
	}
	s.env.note(fmt.Sprintf("prompts: of up to %d tokens (what max_new %d leaves of max_length %d)", room, c.MaxNew, room+c.MaxNew))
	if err := checkpoint.CheckRegular(c.Prompts); err != nil {
		return nil, err
	}
	d := &promptData{}
	list, longest, err := readPrompts(ctx, c.Prompts, c.Map, c.Scorer, datasets.Options{
		Template: s.template, MaxLength: room, Overlong: c.Overlong, BadRecords: c.BadRecords, Quarantine: &d.quarantine,
	}, s.env)
	if err != nil {
		return nil, err
	}
	if err := fitsVocabulary(s.tokenizer, s.config.VocabSize, list); err != nil {
		return nil, err
	}
	d.longest = longest
	for _, p := range list {
		d.list = append(d.list, ppo.Prompt{IDs: p.IDs, Messages: p.Messages, Text: p.Text, Reference: p.Reference, Place: p.Place})
	}
	parts, err := checkRepeats(s, [][]ppo.Prompt{d.list}, nil)
	if err != nil {
		return nil, err
	}
	d.list = parts[0]
	d.hash, err = checkpoint.HashFile(ctx, c.Prompts)
	return d, err
}

// ppoPolicy sizes the run before its weights are read, as savePolicy does.
func (s *stage) ppoPolicy(c ppo.Config, p *promptData) (exec.SavePolicy, error) {
	t, err := s.trained()
	if err != nil {
		return "", err
	}
	return s.sized().PPOPolicy(t, c, plan.PPODraws(c, p.list, p.longest))
}

// policyAndCritic loads the base and what is trained on it. The critic has the
// shape that the settings ask for, and starts anew.
func (s *stage) policyAndCritic(c ppo.Config) (*ppo.Subject, error) {
	values, err := s.read()
	if err != nil {
		return nil, err
	}
	base, err := filepath.Abs(s.base)
	if err != nil {
		return nil, err
	}
	if c.Algorithm != ppo.PPO {
		return ppo.NewSubject(s.model, base, s.adapter, values, nil, nil)
	}
	critic, err := s.newCritic()
	if err != nil {
		return nil, err
	}
	start, err := s.model.InitialAdapter(critic, s.settings.Seed+1)
	if err != nil {
		return nil, err
	}
	return ppo.NewSubject(s.model, base, s.adapter, values, critic, start)
}

func (s *stage) newCritic() (*model.Adapter, error) {
	shape, err := s.settings.LoRA(s.config.NumLayers)
	if err != nil {
		return nil, err
	}
	return ppo.NewCritic(s.config, shape)
}

// ppoTrainer is the run's trainer without its generator, and what tells its
// scorer from others. The reference is the policy as the run began; ctx ends a rollout.
func (s *stage) ppoTrainer(ctx context.Context, c ppo.Config, p *promptData, policy exec.SavePolicy, critic *model.Adapter) (*ppo.Trainer, judged, error) {
	reference, _, err := s.reference("init")
	if err != nil {
		return nil, judged{}, err
	}
	scorer, by, err := judge{c.Reward, c.Scorer}.open(opened{s.base, c.Quantize, s.model, s.backend, s.act, s.tokenizer, s.template, stopIDs(s.config, s.template)}, s.env)
	if err != nil {
		return nil, judged{}, err
	}
	if err := fitsJudge(scorer, p.longest, c.MaxNew, s.config.ContextLength); err != nil {
		return nil, judged{}, err
	}
	// Answers are drawn, scored and learnt from in turns, in one space.
	shared := model.NewShared(s.backend)
	if m, is := scorer.(*score.Model); is {
		m.Shared = shared
	}
	t, err := ppo.New(c, ppo.Trainer{
		Context: ctx, Note: s.env.note, Shared: shared, Model: s.model, Policy: s.adapter, Reference: reference, Critic: critic, Save: policy,
		Scorer: scorer, Decode: s.tokenizer.Decode, Stop: stopIDs(s.config, s.template), Prompts: p.list,
	})
	return t, by, err
}
