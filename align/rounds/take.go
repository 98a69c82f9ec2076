package rounds

import (
	"cmp"
	"fmt"
	"path/filepath"

	"align/internal/atomicfile"
	"align/internal/runfolder"
	"align/rejection"
)

// take makes what a stage has done the start of what follows.
func (j *job) take(name string, p placement, hash string) error {
	step := LineageStep{Round: p.round, Stage: name, Run: p.folder, Hash: hash, From: p.policy}
	learnt, err := j.learnt(&step)
	if err != nil {
		return err
	}
	switch name {
	case stageReward:
		step.From = p.rewardModel
		j.judge = judge{Reward: learnt}
	case stageRejection:
		s, err := readSummary(p.folder)
		if err != nil {
			return err
		}
		step.MeanScore, step.BestScore = s.MeanScore, s.BestScore
		if err := j.gather(p); err != nil {
			return err
		}
	default:
		j.policy = learnt
	}
	if name == stageRejection || name == stagePPO {
		step.Judge = p.judge.Reward + p.judge.Rule // one of them is empty
	}
	return j.record(step)
}

// learnt is the checkpoint that a stage leaves to those behind it: the last, or the
// best of a run that its evaluations ended early. What the lineage tells stays.
func (j *job) learnt(step *LineageStep) (string, error) {
	if step.Stage == stageRejection {
		return "", nil
	}
	if i := j.before.find(step.Round, step.Stage); i >= 0 {
		step.Checkpoint = j.before.Stages[i].Checkpoint
		return cmp.Or(step.Checkpoint, step.Run), nil
	}
	folder, _, err := runfolder.ChooseCheckpoint(step.Run, "")
	if err != nil || folder == step.Run {
		return folder, err
	}
	step.Checkpoint = folder
	j.note(fmt.Sprintf("round %d, %s: ended early, so that its best checkpoint is taken: %s", step.Round, step.Stage, folder))
	return folder, nil
}

// gather makes the best samples so far the data of the stages that follow.
func (j *job) gather(p placement) error {
	j.samples = append(j.samples, samples{p.folder, p.judge.Reward + p.judge.Rule})
	j.data, j.pairs = filepath.Join(filepath.Dir(p.folder), rejection.SFTFile), filepath.Join(p.folder, rejection.PairsFile)
	if err := atomicfile.Sweep(filepath.Dir(j.data)); err != nil { // what a kill in here has left
		return err
	}
	total, earlier, err := gather(j.samples, j.data)
	if err != nil {
		return err
	}
	if total == 0 {
		return fmt.Errorf("%s: no answer is usable: all were cut at max_new (%d) or empty", p.folder, j.config.RejectionStage.MaxNew)
	}
	j.note(fmt.Sprintf("best answers: %d, %d of earlier rounds", total, earlier))
	return nil
}
