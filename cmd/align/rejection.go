package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"align/align"
	"align/internal/config"
	"align/internal/runfolder"
	"align/internal/train"
	"align/rejection"

	"github.com/spf13/cobra"
)

type rejectionOptions struct {
	config     rejection.Config
	configFile string
	output
	io *streams
}

func newRejectionCommand(io *streams) *cobra.Command {
	o := &rejectionOptions{config: rejection.DefaultConfig(), io: io}
	fields := config.Fields(&o.config)
	c := &cobra.Command{
		Use:   "rejection [--model DIR] --prompts FILE --reward RUN|--scorer RULE",
		Short: "Sample many answers, keep the best",
		Long: `rejection samples K answers to every prompt, scores them with a reward model or
a rule, and writes samples.jsonl (all), sft.jsonl (the best, for align sft) and
pairs.jsonl (best against worst, for align dpo).

Rules are exact, regex:PATTERN, length, length:N, gsm8k and command:CMD; they
compare with a column "reference" or "answer" of the prompts. The same seed
gives the same files, and an interrupted job goes on with --resume.`,
		Example: `  align rejection --model models/llama --prompts prompts.jsonl --reward runs/reward-001 --k 16
  align rejection --model models/llama --prompts sums.jsonl --scorer gsm8k --out runs/sums
  align rejection --resume --out runs/sums
  align rejection --model models/llama --prompts prompts.jsonl --scorer length --shard 1/4 --out part-1`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.settle(c, fields); err != nil {
				return wrongUse(c, err)
			}
			o.config.Model = o.io.modelOr(o.config.Model, o.quiet, o.config.Adapter)
			if err := o.config.Validate(); err != nil {
				return wrongUse(c, err)
			}
			return runRejection(c.Context(), o)
		},
	}
	addSettings(c, fields)
	c.Flags().StringVar(&o.configFile, "config", "", "YAML `file` of settings; flags override it")
	c.Flags().BoolVar(&o.config.Resume, "resume", false, "go on with the job in --out")
	addOutputFlags(c, &o.output, "print the summary as one JSON object")
	c.AddCommand(newRejectionMergeCommand(io))
	return c
}

// settle merges file and flags into the config.
func (o *rejectionOptions) settle(c *cobra.Command, fields []config.Field) error {
	if o.config.Resume {
		if o.config.Out == "" {
			return hint(errors.New("--resume needs the job to go on with"), "add --out DIR")
		}
		if err := errors.Join(rejection.CheckJob(o.config.Out), ofMethod(c, o.config.Out)); err != nil {
			return err
		}
	}
	file := o.settingsFile()
	if _, err := mergeFile(c.Flags(), file, fields); err != nil {
		return otherMethods(c, file, err)
	}
	return nil
}

// settingsFile is the file of --config or, of a job that goes on, the one that
// the job wrote.
func (o *rejectionOptions) settingsFile() string {
	own := filepath.Join(o.config.Out, runfolder.SettingsFile)
	if _, err := os.Stat(own); o.config.Resume && o.configFile == "" && err == nil {
		return own
	}
	return o.configFile
}

func runRejection(ctx context.Context, o *rejectionOptions) error {
	stop := &train.Stop{}
	r := newReporter(o.io, output{quiet: o.quiet})
	release := watchSignals(stop, r.note, leaver(r))
	defer release()
	s, err := align.Rejection(ctx, o.config, stoppable(r, stop))
	r.close()
	if ended, ok := errors.AsType[*align.EndedError](err); ok {
		return endedJob(ended)
	}
	if err != nil {
		return roomHint(err, o.config.Out, runfolder.SettingsFile)
	}
	return printSummary(o.io, o.output, s, r.note)
}

// endedJob says how to go on with a job that was stopped.
func endedJob(e *align.EndedError) error {
	by := &stoppedError{by: e.By}
	if e.Out == "" {
		return fmt.Errorf("before the first answer: %w nothing", by)
	}
	return hint(fmt.Errorf("%w: %s", by, e.Out), "go on with --resume --out %s", e.Out)
}

func newRejectionMergeCommand(io *streams) *cobra.Command {
	o := rejection.DefaultConfig()
	out := output{}
	c := &cobra.Command{
		Use:   "merge PART... --out DIR",
		Short: "Join the parts of a sharded job",
		Long: `merge joins the folders of a job that ran with --shard i/n: the files are those
of one run of the whole.`,
		Example: `  align rejection merge part-1 part-2 part-3 part-4 --out whole
  align rejection merge part-* --out whole --json
  align rejection merge part-* --out whole --rejected random --min-margin 0.5`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || o.Out == "" {
				return wrongUse(c, fmt.Errorf("want the folders of all parts, and --out"))
			}
			r := newReporter(io, output{quiet: out.quiet})
			defer r.close()
			defer discardOnSignal(leaver(r))()
			s, err := rejection.Merge(args, o)
			if err != nil {
				return err
			}
			return printSummary(io, out, s, r.note)
		},
	}
	c.Flags().StringVar(&o.Out, "out", "", "`folder` to write")
	c.Flags().StringVar(&o.Pairs, "rejected", o.Pairs, "what stands against the best answer: worst or random")
	c.Flags().StringVar(&o.Ties, "ties", o.Ties, "which of answers with equal scores is taken: first or likeliest")
	c.Flags().Float64Var(&o.MinMargin, "min-margin", o.MinMargin, "least difference of scores in a pair")
	addOutputFlags(c, &out, "print the summary as one JSON object")
	return c
}
