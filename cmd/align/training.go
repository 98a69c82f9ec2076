package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"align/align"
	"align/internal/config"
	"align/internal/host"
	"align/internal/runfolder"
	"align/internal/train"

	"github.com/spf13/cobra"
)

// engine carries out a run of one method; explicit are the keys that the file
// or the command line names. Commands are given theirs, so that a test can
// look at the config that reaches it.
type engine[C any] func(ctx context.Context, c C, explicit []string, e align.Environment) (align.Result, error)

// trainOptions is what training commands have beside their config.
type trainOptions struct {
	output
	configFile string
	io         *streams
}

// validator is a method's config.
type validator interface{ Validate() error }

// addTrainFlags adds the flags of a training command: its config's, and those
// that all share.
func addTrainFlags(c *cobra.Command, o *trainOptions, resume *bool, fields []config.Field) {
	addSettings(c, fields)
	flags := c.Flags()
	section := func(name, key string) {
		flags.Lookup(name).Annotations = map[string][]string{sectionKey: {key}}
	}
	flags.StringVar(&o.configFile, "config", "", "YAML `file` of settings, as align init prints it; flags override it")
	section("config", inOut)
	flags.BoolVar(resume, "resume", false, "go on from the newest valid checkpoint of --out")
	section("resume", eval)
	flags.BoolVar(&o.quiet, "quiet", false, "print errors and the result only")
	section("quiet", machine)
	flags.BoolVar(&o.json, "json", false, "print one JSON object per step on stdout")
	section("json", machine)
}

// runTraining settles the config, runs it and says where the run lies.
// config points to the same struct that fields and validate do.
func runTraining(c *cobra.Command, o *trainOptions, fields []config.Field, checked validator, resume bool, start func(explicit []string, e align.Environment) (align.Result, error)) error {
	explicit, err := settle(c, o, fields, checked, resume)
	if err != nil {
		return err
	}
	stop := &train.Stop{}
	io, unwatch := o.io.watchPipes(stop)
	defer unwatch()
	r := newReporter(io, o.output)
	release := watchSignals(stop, r.note, leaver(r))
	defer release()
	result, err := start(explicit, trained(r, stop))
	r.close()
	if err != nil && resume {
		err = elsewhereHint(err, c.Flags().Lookup("out").Value.String())
	}
	if err != nil {
		return finiteHint(spaceHint(err, result.Run))
	}
	if err := unwritten(r); err != nil && result.Ended == train.Continue {
		return hint(err, "the run is whole: every step is in %s", filepath.Join(result.Run, train.MetricsFile))
	}
	return conclude(o, result)
}

// elsewhereHint says how a resumed run finds the files that its settings name by
// paths of the folder where it began.
func elsewhereHint(err error, run string) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return hint(err, "%s has the paths that the run began with: go on from the folder where it began, or name the file anew by its flag", filepath.Join(run, runfolder.SettingsFile))
}

// spaceHint says how to go on with a run that found the disk full: its checkpoints
// so far are whole.
func spaceHint(err error, run string) error {
	if run == "" || !host.IsDiskFull(err) {
		return err
	}
	return hint(err, "make room, then go on with --resume --out %s; --keep 1 keeps the newest checkpoint and the best one", run)
}

// finiteHint says what keeps a run's numbers finite.
func finiteHint(err error) error {
	var diverged *train.ErrNotFinite
	if !errors.As(err, &diverged) {
		return err
	}
	if diverged.Step == 1 {
		return hint(err, "no update had been made: weights of the model or the adapter are no numbers, or its activations are too large for --precision bf16")
	}
	return hint(err, "begin another run with a lower --learning-rate or a longer --warmup; checkpoints of this one are from before the step")
}

// roomHint is spaceHint for a job that keeps no checkpoints of its own; settings is the
// file of one that has begun.
func roomHint(err error, out, settings string) error {
	if out == "" || !holds(out, settings) || !host.IsDiskFull(err) {
		return err
	}
	return hint(err, "make room, then go on with --resume --out %s", out)
}

// settle merges file and flags into the config, checks it, and returns the keys
// that either of them names.
func settle(c *cobra.Command, o *trainOptions, fields []config.Field, checked validator, resume bool) (explicit []string, err error) {
	file, err := o.settingsFile(c, resume)
	if err != nil {
		return nil, wrongUse(c, err)
	}
	if explicit, err = mergeFile(c.Flags(), file, fields); err != nil {
		return nil, wrongUse(c, otherMethods(c, file, err))
	}
	if err := checked.Validate(); err != nil {
		return nil, wrongUse(c, hint(err, "%s --help tells each setting's range", c.CommandPath()))
	}
	return explicit, nil
}

// settingsFile is the file of --config or, of a resumed run, the one that the
// run wrote, so that its flags need not be told again.
func (o *trainOptions) settingsFile(c *cobra.Command, resume bool) (string, error) {
	run := c.Flags().Lookup("out").Value.String()
	switch {
	case !resume || o.configFile != "":
		return o.configFile, nil
	case run == "":
		return "", hint(errors.New("--resume needs the run to go on with"), "add --out RUN")
	}
	file := filepath.Join(run, runfolder.SettingsFile)
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("--resume: %s is no run: %w", run, err)
	}
	return file, ofMethod(c, run)
}

// conclude prints the run's folder, or how to go on where it was stopped.
func conclude(o *trainOptions, r align.Result) error {
	switch {
	case r.Ended >= train.Interrupt && r.Run == "":
		return stoppedAt(r)
	case r.Ended >= train.Interrupt:
		return hint(stoppedAt(r), "go on with --resume --out %s", r.Run)
	}
	if o.json {
		return nil // stdout holds the steps
	}
	_, err := fmt.Fprintln(o.io.out, r.Run)
	return err
}

// stoppedAt says what a run that was asked to end has saved.
func stoppedAt(r align.Result) error {
	if r.Checkpoint == "" {
		return &stoppedError{by: r.Ended, early: true}
	}
	return fmt.Errorf("step %d: %w: %s", r.Step, &stoppedError{by: r.Ended}, r.Checkpoint)
}
