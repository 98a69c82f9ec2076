package rounds

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"align/align"
	"align/dpo"
	"align/internal/checkpoint"
	"align/internal/config"
	"align/internal/runfolder"
	"align/internal/train"
	"align/model"
	"align/ppo"
	"align/rejection"
	"align/reward"
	"align/sft"
)

// judge names what scores answers: a reward model's run or folder, or a rule.
type judge struct{ Reward, Rule string }

// placement is where a stage of a round stands: what it begins from, what it
// reads and where it writes.
type placement struct {
	round int
	// folder is the stage's own; policy the adapter to begin from, "" for the
	// model alone; rewardModel likewise for the stage reward.
	folder, policy, rewardModel string
	data, pairs                 string
	judge                       judge
}

// share sets what all training stages have of the job.
func (c *Config) share(s *train.Settings, p placement) {
	s.Model, s.Quantize, s.Template, s.Threads, s.Device, s.Precision, s.Memory = c.Model, c.Quantize, c.Template, c.Threads, c.Device, c.Precision, c.Memory
	s.Seed, s.Out, s.Adapter = c.seed(p), p.folder, p.policy
	s.Resume = hasCheckpoint(p.folder)
}

func (c *Config) seed(p placement) uint64 { return c.Seed + uint64(p.round-1) }

func (c *Config) rewardConfig(p placement) reward.Config {
	r := c.RewardStage
	c.share(&r.Settings, p)
	r.Adapter, r.Pairs = p.rewardModel, inRound(c.Pairs, p.round)
	return r
}

func (c *Config) rejectionConfig(p placement) rejection.Config {
	r := c.RejectionStage
	r.Model, r.Quantize, r.Template, r.Threads, r.Device, r.Precision, r.Memory = c.Model, c.Quantize, c.Template, c.Threads, c.Device, c.Precision, c.Memory
	if r.Model == "" {
		r.Model = modelOfRounds
	}
	r.Adapter, r.Out, r.Seed = p.policy, p.folder, c.seed(p)
	r.Prompts, r.Reward, r.Scorer, r.Generator = inRound(c.Prompts, p.round), p.judge.Reward, p.judge.Rule, c.Generator
	_, err := os.Stat(p.folder)
	r.Resume = err == nil
	return r
}

func (c *Config) sftConfig(p placement) sft.Config {
	s := c.SFTStage
	c.share(&s.Settings, p)
	s.Data = p.data
	return s
}

func (c *Config) dpoConfig(p placement) dpo.Config {
	d := c.DPOStage
	c.share(&d.Settings, p)
	d.Pairs = p.pairs
	return d
}

func (c *Config) ppoConfig(p placement) ppo.Config {
	q := c.PPOStage
	c.share(&q.Settings, p)
	q.Prompts, q.Reward, q.Scorer, q.Generator = inRound(c.Prompts, p.round), p.judge.Reward, p.judge.Rule, c.Generator
	return q
}

// runStage carries a training stage out.
func (c *Config) runStage(ctx context.Context, name string, p placement, env align.Environment) (align.Result, error) {
	if err := clearUnbegun(p.folder); err != nil {
		return align.Result{}, err
	}
	explicit := c.Explicit[name]
	switch name {
	case stageReward:
		return start(ctx, c.rewardConfig(p), explicit, p, align.Reward, env)
	case stageSFT:
		return start(ctx, c.sftConfig(p), explicit, p, align.SFT, env)
	case stageDPO:
		return start(ctx, c.dpoConfig(p), explicit, p, align.DPO, env)
	}
	return start(ctx, c.ppoConfig(p), explicit, p, align.PPO, env)
}

// start runs a method by a config. A run that has begun goes on by the settings
// that it wrote, which tell what it derived.
func start[C any](ctx context.Context, c C, explicit []string, p placement, run func(context.Context, C, []string, align.Environment) (align.Result, error), env align.Environment) (align.Result, error) {
	if hasCheckpoint(p.folder) {
		if err := runfolder.ReadSettings(p.folder, config.Fields(&c)); err != nil {
			return align.Result{}, err
		}
	}
	return run(ctx, c, explicit, env)
}

// hasCheckpoint says whether a run has begun so far that it can be resumed.
func hasCheckpoint(run string) bool {
	_, err := checkpoint.Open(run)
	return err == nil
}

// clearUnbegun removes the run of a stage that was stopped before its first
// checkpoint: the folder is the job's own, and there is nothing to go on from.
func clearUnbegun(run string) error {
	checkpoints, err := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
	if err != nil || len(checkpoints) > 0 {
		return err
	}
	return os.RemoveAll(run)
}

// finished says whether a stage's folder holds all that the stage was to do,
// and a hash of it.
func finished(name, folder string) (done bool, hash string, err error) {
	if name == stageRejection {
		if !isThere(folder, rejection.SummaryFile) {
			return false, "", nil
		}
		hash, err = checkpoint.HashFile(context.Background(), filepath.Join(folder, rejection.SamplesFile))
		return err == nil, hash, err
	}
	c, err := checkpoint.Open(folder)
	if err != nil {
		return false, "", nil // begun, or not even that
	}
	s, err := train.ReadState(c)
	if err != nil {
		return false, "", err
	}
	for _, f := range c.Files() {
		if f.Name == model.AdapterWeightsFile {
			hash = f.SHA256
		}
	}
	if hash == "" {
		return false, "", errors.New(c.Path + " has no adapter")
	}
	return !s.EvaluationDue && (s.Step >= s.Steps || runfolder.EndedEarly(folder, s)), hash, nil
}

func isThere(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
