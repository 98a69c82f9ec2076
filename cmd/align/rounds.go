package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"align/align/rounds"
	"align/internal/config"
	"align/internal/train"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type roundsOptions struct {
	config     rounds.Config
	configFile string
	output
	io *streams
}

func newRoundsCommand(io *streams) *cobra.Command {
	o := &roundsOptions{config: rounds.DefaultConfig(), io: io}
	fields := config.Fields(&o.config)
	c := &cobra.Command{
		Use:   "rounds --config FILE",
		Short: "Align in several rounds of stages",
		Long: `rounds goes through a list of stages several times, as Llama 3 was aligned
(https://arxiv.org/abs/2407.21783, section 4): a reward model, rejection
sampling, fine-tuning on the best answers of all rounds so far, preference
learning on best against worst. Each stage begins from the last one's checkpoint.

The file has the settings below and a section per stage with those of its own
command: "dpo:" and indented lines. "{round}" in the path of data stands for the
round's number. The job's folder has one folder per round and stage, and
lineage.json, which says what came of what; --resume goes on where it stopped.`,
		Example: `  align init rounds > rounds.yaml
  align rounds --config rounds.yaml --out runs/llama
  align rounds --resume --out runs/llama --rounds 3`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.settle(c, fields); err != nil {
				return wrongUse(c, err)
			}
			return runRounds(c, o)
		},
	}
	addSettings(c, fields)
	c.SetFlagErrorFunc(flagOfAStage)
	flags := c.Flags()
	flags.StringVar(&o.configFile, "config", "", "YAML `file` of settings, as align init rounds prints it; flags override it")
	flags.BoolVar(&o.config.Resume, "resume", false, "go on with the job in --out")
	addOutputFlags(c, &o.output, "print the lineage as one JSON object")
	return c
}

// settle merges file and flags into the config and checks it.
func (o *roundsOptions) settle(c *cobra.Command, fields []config.Field) error {
	file := o.configFile
	if o.config.Resume && file == "" {
		if o.config.Out == "" {
			return hint(errors.New("--resume needs the job to go on with"), "add --out DIR")
		}
		file = filepath.Join(o.config.Out, rounds.SettingsFile)
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("--resume: %s is no job of rounds: %w", o.config.Out, err)
		}
	}
	given := map[string]string{}
	for _, f := range fields {
		if flag := c.Flags().Lookup(flagName(f.Key)); flag != nil && flag.Changed {
			given[f.Key] = f.String()
		}
	}
	if file != "" {
		keys, err := config.ReadSections(file, o.config.Sections())
		if err != nil {
			return err
		}
		o.config.Explicit = keys
	}
	for _, f := range fields {
		if text, ok := given[f.Key]; ok {
			if err := f.Set(text); err != nil {
				return err
			}
		}
	}
	return o.config.Validate()
}

// flagOfAStage is the error of a flag that is a setting of a stage: those stand in
// the file.
func flagOfAStage(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return flagError(c, err)
	}
	job := rounds.DefaultConfig()
	sections, key := job.Sections(), strings.ReplaceAll(unknown.GetSpecifiedName(), "-", "_")
	var stages []string
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if name != "" && slices.ContainsFunc(sections[name], func(f config.Field) bool { return f.Key == key }) {
			stages = append(stages, name)
		}
	}
	if len(stages) == 0 {
		return flagError(c, err)
	}
	err = fmt.Errorf("unknown flag --%s: %s is a setting of the stages %s: name it in the file, as %s: {%s: ...}",
		unknown.GetSpecifiedName(), key, strings.Join(stages, ", "), stages[0], key)
	return wrongUse(c, hint(err, "%s --help lists the flags", c.CommandPath()))
}

func runRounds(c *cobra.Command, o *roundsOptions) error {
	// The steps of all stages are told on stderr: stdout has the result.
	stop := &train.Stop{}
	watched, unwatch := o.io.watchPipes(stop)
	defer unwatch()
	r := newReporter(watched, output{quiet: o.quiet})
	release := watchSignals(stop, r.note, leaver(r))
	defer release()
	result, err := rounds.Run(c.Context(), o.config, trained(r, stop))
	r.close()
	if err != nil {
		return roomHint(err, o.config.Out, rounds.SettingsFile)
	}
	switch {
	case result.Ended != train.Continue && !holds(result.Out, rounds.SettingsFile):
		return &stoppedError{by: result.Ended, early: true}
	case result.Ended != train.Continue:
		return hint(fmt.Errorf("%w: %s", &stoppedError{by: result.Ended}, result.Out), "go on with --resume --out %s", result.Out)
	}
	if o.json {
		return printJSON(o.io.out, struct {
			V      int                  `json:"v"`
			Out    string               `json:"out"`
			Policy string               `json:"policy"`
			Reward string               `json:"reward"`
			Stages []rounds.LineageStep `json:"stages"`
		}{1, result.Out, result.Policy, result.Reward, result.Stages})
	}
	return printRounds(o.io, result)
}

// printRounds prints a line for every round that sampled, then where the last
// policy lies.
func printRounds(io *streams, r rounds.Result) error {
	var errs []error
	for _, s := range r.Stages {
		if s.Stage == "rejection" {
			_, err := fmt.Fprintf(io.out, "round %d: mean score %s, mean best score %s\n", s.Round, short(s.MeanScore), short(s.BestScore))
			errs = append(errs, err)
		}
	}
	last := r.Policy
	if last == "" {
		last = r.Reward
	}
	_, err := fmt.Fprintln(io.out, last)
	return errors.Join(append(errs, err)...)
}
