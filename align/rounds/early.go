package rounds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/align"
	"align/internal/basemodel"
	"align/internal/config"
	"align/internal/runfolder"
)

// named looks for what the job names before its folder is made: one that has begun
// is not begun again. Files of later rounds may come while it runs.
func (c *Config) named(ctx context.Context) error {
	_, wrongModel := basemodel.ResolveUntil(ctx, cmp.Or(c.Model, modelOfRounds))
	errs := []error{wrongModel}
	if c.Adapter != "" {
		_, err := runfolder.TrainedUntil(ctx, c.Adapter)
		errs = append(errs, err)
	}
	errs = append(errs, align.CheckReward(c.Reward))
	for _, path := range []string{c.Prompts, c.Data, c.Pairs} {
		if path == "" || strings.ContainsAny(path, ",:") { // several, or with weights
			continue
		}
		_, err := os.Stat(inRound(path, 1))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// freeInRounds are the settings of a job that may change while it goes on.
var freeInRounds = []string{"out", "rounds", "threads", "device", "memory", "generator"}

// changed names every setting that is another than the job's folder began with.
func (c *Config) changed() error {
	began := DefaultConfig()
	if _, err := config.ReadSections(filepath.Join(c.Out, SettingsFile), began.Sections()); err != nil {
		return err
	}
	var other []string
	then, now := began.Sections(), c.Sections()
	for _, section := range append([]string{""}, stageNames...) {
		for i, f := range now[section] {
			if section == "" && slices.Contains(freeInRounds, f.Key) || f.String() == then[section][i].String() {
				continue
			}
			key := strings.TrimPrefix(section+"."+f.Key, ".")
			other = append(other, fmt.Sprintf("%s is %q, the job began with %q", key, f.String(), then[section][i].String()))
		}
	}
	if len(other) == 0 {
		other = []string{"the settings are not those that the job began with"}
	}
	return fmt.Errorf("rounds: resume: %s: leave that out to go on with %s, or take another folder; only rounds, threads, device, memory and generator may change", strings.Join(other, "; "), c.Out)
}
