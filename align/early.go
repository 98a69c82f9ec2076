package align

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"align/internal/checkpoint"
	"align/internal/config"
	"align/internal/report"
	"align/internal/train"
	"align/model"
	"align/rejection"
	"align/reward"

	"github.com/go-json-experiment/json"
)

// What can be known of a run before a model, or the data, is read for it.

// written are the names that a run writes in its folder beside RunFile.
var written = []string{
	"checkpoints", train.MetricsFile, train.VerdictFile, report.File, report.SamplesFile, AdapterFile, QuarantineFile, TensorBoardFolder,
}

// checkFree says where the folder of a new run holds one already, or files that it
// would write over.
func checkFree(out string) error {
	if out == "" {
		return nil
	}
	if err := checkName(out); err != nil {
		return err
	}
	if has(out, RunFile) {
		return fmt.Errorf("%s holds a run already: take another folder, or go on with it by --resume", out)
	}
	for _, name := range written {
		if has(out, name) {
			return fmt.Errorf("%s holds %s, which the run would write over: take another folder", out, name)
		}
	}
	return folderError(checkWritable(out))
}

// checkWritable tries the folder, or the nearest one above that is there. A file is
// made and removed: permissions alone do not tell. Other errors are left to the
// making of the folder.
func checkWritable(out string) error {
	dir := out
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is a file", dir)
		}
		if err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if target, err := os.Readlink(out); err == nil && dir != out {
		return fmt.Errorf("%s is a link to %s, which is no folder", out, target)
	}
	file, err := os.CreateTemp(dir, ".align-*")
	if path := new(fs.PathError); errors.As(err, &path) {
		return fmt.Errorf("%s cannot be written in: %w", dir, path.Err) // not the trial file's name
	}
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// checkNamed looks for what the settings name beside the data: the adapter, the
// reference's, and the file of the evaluation. "" is none.
func checkNamed(adapter, ref, eval string) error {
	var errs []error
	if adapter != "" {
		_, err := trainedFolder(adapter)
		errs = append(errs, err)
	}
	if ref != "" {
		_, err := AdapterFolder(ref)
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

// check looks for the reward model and its head.
func (j judge) check() error {
	if j.Reward == "" {
		return nil
	}
	base, err := rewardBase(j.Reward)
	if err != nil {
		return err
	}
	c, err := model.ReadConfig(base)
	if err != nil {
		return fmt.Errorf("the reward model's base: %w", err)
	}
	_, err = reward.Layout(j.Reward, c)
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
	return sameRun(s.run, began, asked)
}

// sameData refuses a run that would go on with other data than it began with, or
// for fewer steps than it has done (0: not known yet), by its newest checkpoint and
// before a model is read. Where that cannot be read, who loads it says why. hash is
// the data's.
func (s *stage) sameData(hash string, steps int) error {
	if !s.settings.Resume {
		return nil
	}
	raw, err := checkpoint.Peek(s.run, train.StateFile)
	var began train.State
	if err != nil || json.Unmarshal(raw, &began) != nil || began.Method != s.method {
		return nil
	}
	var errs []error
	now := s.dataLineage(hash)
	for _, key := range []string{"data", "records", "mixture", "tokenizer"} {
		want, known := began.Lineage[key]
		switch got := now[key]; {
		case !known || got == want:
		case key == "data" || key == "tokenizer":
			errs = append(errs, fmt.Errorf("%s has another content than the run began with", key))
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

// findRun looks for the folder of a run that goes on, or for the place of a new one.
func (s *stage) findRun() error {
	switch {
	case s.settings.Resume:
	case s.settings.Out == "":
		return folderError(checkWritable("runs"))
	default:
		return checkFree(s.settings.Out)
	}
	if s.settings.Out == "" || !has(s.settings.Out, RunFile) {
		return fmt.Errorf("resume: %q is not a run: name its folder with --out", s.settings.Out)
	}
	s.run = s.settings.Out
	return nil
}

// checkJob is what shows of a rejection job before a model is read: its folder, what
// it names, and the settings that it began with.
func checkJob(c rejection.Config) error {
	if err := errors.Join(checkNamed(c.Adapter, "", ""), judge{c.Reward, c.Scorer}.check()); err != nil || c.Out == "" {
		return err
	}
	if err := errors.Join(checkName(c.Out), rejection.CheckFolder(c.Out, c.Resume), folderError(checkWritable(c.Out))); err != nil || !c.Resume || !has(c.Out, RunFile) {
		return err
	}
	began := c
	fields := config.Fields(&began)
	if _, err := config.Read(filepath.Join(c.Out, RunFile), fields); err != nil {
		return err
	}
	return c.SameDraws(began)
}
