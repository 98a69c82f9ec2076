package align

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"align/dpo"
	"align/internal/config"
	"align/internal/runfolder"
	"align/ppo"
	"align/reward"
	"align/sft"
)

// methodConfigs are the configs of all methods that are resumed, at their defaults.
func methodConfigs() map[string]any {
	s, d, r, p, q := sft.DefaultConfig(), dpo.DefaultConfig(), reward.DefaultConfig(), ppo.DefaultConfig(), DefaultPretrainConfig()
	return map[string]any{"sft": &s, "dpo": &d, "reward": &r, "ppo": &p, "pretrain": &q}
}

// Whoever adds a setting says here what a resumed run may do with it.
func TestEverySettingIsClassifiedForResume(t *testing.T) {
	known := map[string]bool{}
	for method, c := range methodConfigs() {
		for _, f := range settingsOf(c) {
			known[f.Key] = true
			if !slices.Contains(runfolder.Classified(), f.Key) {
				t.Errorf("%s: onResume does not say whether %s may change when a run goes on", method, f.Key)
			}
		}
	}
	for _, key := range runfolder.Classified() {
		if !known[key] {
			t.Errorf("onResume has %s, which is no setting", key)
		}
	}
}

// Of every setting of every method: another value is refused, with both values and
// the way out, or it is taken over into the run's file.
func TestResumeOfEverySetting(t *testing.T) {
	for method, c := range methodConfigs() {
		run := t.TempDir()
		if err := runfolder.WriteSettings(run, settingsOf(c)); err != nil {
			t.Fatal(err)
		}
		for _, f := range settingsOf(c) {
			was := f.String()
			setAnother(t, f)
			s := &stage{run: run, asked: settingsOf(c)}
			began, err := beganWith(run, c)
			if err != nil {
				t.Fatal(err)
			}
			err = runfolder.SameSettings(run, began, s.asked)
			switch {
			case !runfolder.Fixed(f.Key) && err != nil:
				t.Errorf("%s: %s may change, but: %v", method, f.Key, err)
			case runfolder.Fixed(f.Key) && (err == nil || !strings.Contains(err.Error(), f.Key+" is ") || !strings.Contains(err.Error(), "--config "+filepath.Join(run, runfolder.SettingsFile))):
				t.Errorf("%s: %s: %v", method, f.Key, err)
			}
			if err := f.Set(was); err != nil {
				t.Fatalf("%s: %s: %v", method, f.Key, err)
			}
		}
	}
}

// A setting that the file of an earlier version lacks is held to its default, which is
// what that version did.
func TestResumeOfASettingThatTheRunsFileLacks(t *testing.T) {
	for method, c := range methodConfigs() {
		run := t.TempDir()
		if err := runfolder.WriteSettings(run, nil); err != nil {
			t.Fatal(err)
		}
		for _, f := range settingsOf(c) {
			was := f.String()
			same := func() error {
				began, err := beganWith(run, c)
				if err != nil {
					t.Fatal(err)
				}
				return runfolder.SameSettings(run, began, settingsOf(c))
			}
			if err := same(); err != nil {
				t.Errorf("%s at its defaults: %v", method, err)
			}
			setAnother(t, f)
			if err := same(); runfolder.Fixed(f.Key) != (err != nil) {
				t.Errorf("%s: another %s: %v", method, f.Key, err)
			}
			if err := f.Set(was); err != nil {
				t.Fatalf("%s: %s: %v", method, f.Key, err)
			}
		}
	}
}

// setAnother gives a setting another value of its type.
func setAnother(t *testing.T, f config.Field) {
	t.Helper()
	was := f.String()
	for _, text := range []string{"0.5", "7", "on", "off", "other"} {
		if f.Set(text) == nil && f.String() != was {
			return
		}
	}
	t.Fatalf("%s: no other value than %q", f.Key, was)
}

func TestKeepSettings(t *testing.T) {
	c := sft.DefaultConfig()
	run := t.TempDir()
	if err := runfolder.WriteSettings(run, settingsOf(&c)); err != nil {
		t.Fatal(err)
	}
	c.Steps, c.Resume = 40, true
	s := &stage{settings: &c.Settings, run: run, asked: settingsOf(&c)}
	if err := s.keepSettings(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(run, runfolder.SettingsFile))
	if err != nil || !strings.Contains(string(text), "steps: 40\n") {
		t.Errorf("%v: %s", err, text)
	}
}
