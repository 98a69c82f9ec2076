package rounds

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"align/align"
	"align/internal/atomicfile"
	"align/internal/builtin"
	"align/internal/place"
	"align/internal/runfolder"
	"align/internal/train"
)

// The files of a job's folder: its settings, and what became of it.
const (
	SettingsFile = "rounds.yaml"
	LineageFile  = "lineage.json"
)

// modelOfRounds is the model where none is named.
const modelOfRounds = builtin.Name

// Result is what a job leaves behind.
type Result struct {
	Out string
	// Policy and Reward are the last runs of each kind, "" for none.
	Policy, Reward string
	Stages         []LineageStep
	// Ended is Interrupt or a stronger request where the job was asked to end.
	Ended train.Request
}

// Run goes through the stages of every round, each from the checkpoint of the
// one before. With Resume the stages that are done are recognised by their
// folders, and the one under way goes on.
func Run(ctx context.Context, c Config, env align.Environment) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	j := &job{config: &c, env: env, policy: c.Adapter, judge: judge{c.Reward, c.Scorer}}
	defer j.close()
	early, cancel := env.Stop.Until(ctx)
	defer cancel()
	if err := c.named(early); err != nil {
		return j.endedEarly(err)
	}
	if err := j.open(early); err != nil {
		return j.endedEarly(err)
	}
	for round := 1; round <= c.Rounds; round++ {
		j.data, j.pairs = inRound(c.Data, round), inRound(c.Pairs, round)
		for _, name := range c.stages() {
			ended, err := j.stage(ctx, round, name)
			if err != nil {
				return Result{}, fmt.Errorf("round %d, %s: %w", round, name, err)
			}
			if ended >= train.Interrupt {
				return Result{Out: c.Out, Policy: j.policy, Reward: j.judge.Reward, Stages: j.done.Stages, Ended: ended}, nil
			}
		}
	}
	return Result{Out: c.Out, Policy: j.policy, Reward: j.judge.Reward, Stages: j.done.Stages}, nil
}

// endedEarly is the result of a job that err keeps from its first stage: none where it
// was asked to end.
func (j *job) endedEarly(err error) (Result, error) {
	if by := j.env.Stop.Asked(); errors.Is(err, context.Canceled) && by > train.SaveNow {
		return Result{Out: j.config.Out, Ended: by}, nil
	}
	return Result{}, err
}

// job is a job under way.
type job struct {
	config *Config
	env    align.Environment
	// done are the stages of this call; before those that the folder tells of.
	done, before Lineage
	made         atomicfile.Folders // for the job's folder
	release      func()             // of the claim on the job's folder; nil without one

	policy      string
	judge       judge
	data, pairs string
	samples     []samples
}

// open makes the job's folder, or finds the job to go on with.
func (j *job) open(ctx context.Context) (err error) {
	c := j.config
	identity, err := c.identity(anyKey)
	if err != nil {
		return err
	}
	held, err := c.held(ctx)
	if err != nil {
		return err
	}
	if c.Out != "" && isThere(c.Out, SettingsFile) {
		if !c.Resume {
			return fmt.Errorf("rounds: %s holds a job already: take another folder, or go on with it by --resume", c.Out)
		}
		if err := j.claim(); err != nil {
			return err
		}
		if j.before, err = ReadLineage(c.Out); err != nil {
			return err
		}
		if err := j.same(identity); err != nil {
			return err
		}
		if err := j.hold(held); err != nil {
			return err
		}
	} else if c.Resume {
		return fmt.Errorf("rounds: resume: %q is no job of rounds: name its folder with --out", c.Out)
	}
	if c.Out == "" {
		if c.Out, j.made, err = runfolder.New("", "rounds"); err != nil {
			return err
		}
	}
	if err := place.CheckName(c.Out); err != nil {
		return err
	}
	made, err := runfolder.Make(c.Out)
	if err != nil {
		return err
	}
	j.made = append(made, j.made...)
	if err := j.claim(); err != nil {
		return err
	}
	j.done = Lineage{Version: lineageVersion, Config: identity, Held: held}
	if j.before.Config == "" {
		if err := j.save(j.done); err != nil {
			return err
		}
	}
	return atomicfile.WriteFile(filepath.Join(c.Out, SettingsFile), c.write)
}

// claim keeps other processes out of the job's folder.
func (j *job) claim() (err error) {
	if j.release == nil {
		j.release, err = runfolder.Claim(j.config.Out, j.note)
	}
	return err
}

func (j *job) note(line string) {
	if j.env.Note != nil {
		j.env.Note(line)
	}
}

func (j *job) close() {
	if j.release != nil {
		j.release()
	}
	j.made.Remove()
}

// stage carries one stage out, or finds that it is done.
func (j *job) stage(ctx context.Context, round int, name string) (train.Request, error) {
	if ended := j.env.Stop.Asked(); ended != train.Continue {
		return ended, nil
	}
	p := j.place(round, name)
	if reason, err := j.leftOut(p, name); err != nil || reason != "" {
		if err == nil {
			j.note(fmt.Sprintf("round %d, %s: left out, %s", round, name, reason))
			err = j.record(LineageStep{Round: round, Stage: name, Reason: reason})
		}
		return train.Continue, err
	}
	done, hash, err := finished(name, p.folder)
	if err != nil {
		return train.Continue, err
	}
	if done && (name == stageRejection || j.recorded(round, name)) {
		if err := j.unchanged(round, name, hash); err != nil {
			return train.Continue, err
		}
		j.note(fmt.Sprintf("round %d, %s: done, %s", round, name, p.folder))
		return train.Continue, j.take(name, p, hash)
	}
	j.note(fmt.Sprintf("round %d of %d, %s: %s", round, j.config.Rounds, name, p.folder))
	if ended, err := j.run(ctx, name, p); err != nil || ended != train.Continue {
		return ended, err
	}
	if done, hash, err = finished(name, p.folder); err != nil || !done {
		return train.Continue, errors.Join(err, fmt.Errorf("%s is not finished", p.folder))
	}
	return train.Continue, j.take(name, p, hash)
}

// recorded says whether the lineage tells of a stage. One that has done its steps and is
// not there was stopped before the verdict or the files that follow them.
func (j *job) recorded(round int, name string) bool { return j.before.find(round, name) >= 0 }

// place is where the stage stands.
func (j *job) place(round int, name string) placement {
	p := placement{
		round: round, folder: filepath.Join(j.config.Out, fmt.Sprintf("round-%02d", round), name),
		policy: j.policy, data: j.data, pairs: j.pairs, judge: j.judge,
	}
	if name == stageReward {
		p.policy, p.rewardModel = "", j.judge.Reward
	}
	return p
}

// leftOut is the reason why a stage has nothing to do, or "".
func (j *job) leftOut(p placement, name string) (string, error) {
	switch {
	case name == stageReward && p.round > 1 && !strings.Contains(j.config.Pairs, "{round}"):
		return "the pairs are the first round's, and so is the reward model", nil
	case name == stageDPO && j.sampled(p.round):
		s, err := readSummary(j.samples[len(j.samples)-1].folder)
		if err == nil && s.Counts.Pairs == 0 {
			return "the samples make no pair", nil
		}
		return "", err
	}
	return "", nil
}

// sampled says whether this round's rejection is done.
func (j *job) sampled(round int) bool { return j.done.find(round, stageRejection) >= 0 }

// run carries the stage out.
func (j *job) run(ctx context.Context, name string, p placement) (train.Request, error) {
	made, err := runfolder.Make(filepath.Dir(p.folder))
	if err != nil {
		return train.Continue, err
	}
	defer made.Remove()
	if name != stageRejection {
		r, err := j.config.runStage(ctx, name, p, j.env)
		if err != nil || r.Ended < train.Interrupt {
			return train.Continue, err
		}
		return r.Ended, nil
	}
	_, err = align.Rejection(ctx, j.config.rejectionConfig(p), j.env)
	if ended, ok := errors.AsType[*align.EndedError](err); ok {
		return ended.By, nil
	}
	return train.Continue, err
}
