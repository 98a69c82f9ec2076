package align

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"align/internal/checkpoint"
	"align/internal/config"
	"align/internal/place"
	"align/internal/runfolder"
	"align/internal/train"
	"align/model"
	"align/rejection"
	"align/reward"

	"github.com/go-json-experiment/json"
)

// What can be known of a run before a model, or the data, is read for it.

// checkNamed looks for what the settings name beside the data: the adapter, the
// reference's, and the file of the evaluation. "" is none. It ends with ctx.
func checkNamed(ctx context.Context, adapter, ref, eval string) error {
	var errs []error
	if adapter != "" {
		_, err := runfolder.TrainedUntil(ctx, adapter)
		errs = append(errs, err)
	}
	if ref != "" {
		_, err := runfolder.AdapterFolderUntil(ctx, ref)
		errs = append(errs, prefixed("ref", err))
	}
	if eval != "" {
		_, err := os.Stat(eval)
		errs = append(errs, prefixed("eval", err))
	}
	return errors.Join(errs...)
}

func prefixed(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

// check looks for the reward model, where one scores.
func (j judge) check() error { return CheckReward(j.Reward) }

// CheckReward looks for a reward model and its head; "" is none.
func CheckReward(path string) error {
	if path == "" {
		return nil
	}
	base, err := rewardBase(path)
	if err != nil {
		return err
	}
	c, err := model.ReadConfig(base)
	if err != nil {
		return fmt.Errorf("the reward model's base: %w", err)
	}
	_, err = reward.Layout(path, c)
	return err
}

// ofTheAdapter are settings that an adapter brings, once it is read.
var ofTheAdapter = []string{"rank", "alpha", "rslora", "dora", "modules_to_save"}

// sameSoFar refuses a run that would go on with other settings than it began with,
// by those that are settled before a model is read. c is the method's config.
func (s *stage) sameSoFar(c any) error {
	if !s.settings.Resume {
		return nil
	}
	asked := slices.DeleteFunc(settingsOf(c), func(f config.Field) bool {
		return s.settings.Adapter != "" && slices.Contains(ofTheAdapter, f.Key) ||
			s.method == "pretrain" && f.Key == "max_length" // bounded as its data is cut
	})
	began, err := beganWith(s.run, c)
	if err != nil {
		return err
	}
	return runfolder.SameSettings(s.run, began, asked)
}

// sameData refuses a run that would go on with other data than it began with, or
// for fewer steps than it has done (0: not known yet), by its newest checkpoint and
// before a model is read. Where that cannot be read, who loads it says why. hash is
// the data's.
func (s *stage) sameData(hash string, steps int) error {
	if !s.settings.Resume {
		return nil
	}
	began, known := s.began()
	if !known {
		return nil
	}
	var errs []error
	now := s.dataLineage(hash)
	for _, key := range []string{"data", "records", "mixture", "tokenizer"} {
		want, known := began.Lineage[key]
		switch got := now[key]; {
		case !known || got == want:
		case key == "data" || key == "tokenizer":
			errs = append(errs, anotherContent(key))
		default:
			errs = append(errs, fmt.Errorf("%s is %q, the run began with %q", key, got, want))
		}
	}
	if steps > 0 && began.Step > steps {
		errs = append(errs, fmt.Errorf("it has done %d steps, and %d are asked for: name as many or more", began.Step, steps))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("resume: %s: %w", s.run, err)
	}
	return nil
}

// sameReference refuses a run that would go on with another reference adapter than it
// began with, before the log-probabilities of all its data are computed by it. path is
// where the reference lies.
func (s *stage) sameReference(path string) error {
	if !s.settings.Resume {
		return nil
	}
	began, _ := s.began()
	for key, now := range s.refLineage() {
		if then, known := began.Lineage[key]; known && then != now {
			return fmt.Errorf("resume: %s: %w%s", s.run, anotherContent("ref"), s.sameIn("ref", path, began.Lineage["reference"]))
		}
	}
	return nil
}

// sameStart refuses a run that would go on from another adapter than it began from,
// before anything is computed by it.
func (s *stage) sameStart() error {
	if !s.settings.Resume {
		return nil
	}
	began, _ := s.began()
	if then, known := began.Lineage["adapter"]; known && then != s.start {
		return fmt.Errorf("resume: %s: %w%s", s.run, anotherContent("adapter"), s.sameIn("adapter", s.settings.Adapter, then))
	}
	return nil
}

// sameIn names the checkpoint of a run at path whose values have the hash, as where that
// run has itself gone on since; "" where there is none.
func (s *stage) sameIn(key, path, hash string) string {
	if !runfolder.Is(path) {
		return ""
	}
	folders, err := filepath.Glob(filepath.Join(path, "checkpoints", "step-*"))
	if err != nil {
		return ""
	}
	for _, folder := range folders {
		if _, values, err := model.ReadAdapter(folder, s.config); err == nil && hashFloats(values) == hash {
			return fmt.Sprintf(": %s has gone on since, and its checkpoint of then is there: --%s %s", path, key, folder)
		}
	}
	return fmt.Sprintf(": it may have gone on since, and none of the checkpoints of %s that are left is the one of then", path)
}

// began is what the newest checkpoint of a run that goes on says of it; not known where
// there is none, or where it cannot be read.
func (s *stage) began() (began train.State, known bool) {
	raw, err := checkpoint.Peek(s.run, train.StateFile)
	if err != nil || json.Unmarshal(raw, &began) != nil || began.Method != s.method {
		return train.State{}, false
	}
	return began, true
}

func anotherContent(key string) error {
	return fmt.Errorf("%s has another content than the run began with", key)
}

// findRun looks for the folder of a run that goes on, or for the place of a new one.
func (s *stage) findRun() error {
	switch {
	case s.settings.Resume:
	case s.settings.Out == "":
		return runfolder.CheckWritable("runs")
	default:
		return runfolder.CheckFree(s.settings.Out)
	}
	if s.settings.Out == "" || !runfolder.Is(s.settings.Out) {
		return fmt.Errorf("resume: %q is not a run: name its folder with --out", s.settings.Out)
	}
	s.run = s.settings.Out
	return nil
}

// checkJob is what shows of a rejection job before a model is read: its folder, what
// it names, and the settings that it began with.
func checkJob(ctx context.Context, c rejection.Config) error {
	if err := errors.Join(checkNamed(ctx, c.Adapter, "", ""), judge{c.Reward, c.Scorer}.check()); err != nil || c.Out == "" {
		return err
	}
	if err := errors.Join(place.CheckName(c.Out), rejection.CheckFolder(c.Out, c.Resume), runfolder.CheckWritable(c.Out)); err != nil || !c.Resume || !runfolder.Is(c.Out) {
		return err
	}
	began := rejection.DefaultConfig() // what an earlier version did not write
	if err := runfolder.ReadSettings(c.Out, config.Fields(&began)); err != nil {
		return err
	}
	return c.SameDraws(began)
}

func has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
