package main

import (
	"context"
	"errors"
	"fmt"

	"align/align"
	"align/datasets"
	"align/internal/rollout"
	"align/internal/score"
	"align/internal/winrate"
	"align/model"

	"github.com/spf13/cobra"
)

type compareOptions struct {
	align.CompareOptions
	checkpoint string
	output
	io *streams
}

func newCompareCommand(io *streams) *cobra.Command {
	o := &compareOptions{CompareOptions: align.DefaultCompareOptions(), io: io}
	c := &cobra.Command{
		Use:   "compare A B --prompts FILE --reward RUN",
		Short: "Say which of two adapters answers better",
		Long: `compare answers every prompt with A and with B, scores the answers with a reward
model or a rule, and prints how often A's is better, a tie counting half, with a
95 per cent interval (Wilson), and the rate at equal lengths.

A and B are runs, checkpoints or adapters, or the word base for the model alone.
Both draw with the same random numbers: A against A is 50 per cent.`,
		Example: `  align compare runs/dpo-001 base --model models/llama --prompts held-out.jsonl --reward runs/reward-001
  align compare runs/ppo-001 runs/sft-001 --model models/llama --prompts sums.jsonl --scorer gsm8k --k 4
  align compare runs/ppo-001 base --prompts held-out.jsonl --scorer length --json`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return wrongUse(c, err)
			}
			return runCompare(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Model, "model", "", plainHelp("model"))
	addCheckpointFlag(c, &o.checkpoint)
	f.StringVar(&o.Prompts, "prompts", "", plainHelp("prompts"))
	f.StringVar(&o.Reward, "reward", "", plainHelp("reward"))
	f.StringVar(&o.Scorer, "scorer", "", plainHelp("scorer"))
	f.IntVar(&o.K, "k", o.K, "answers to each prompt, 1 or more")
	f.IntVar(&o.MaxNew, "max-new", o.MaxNew, plainHelp("max_new"))
	f.Float64Var(&o.Temperature, "temperature", o.Temperature, "divides the logits of the draws; 0 takes the likeliest token")
	f.Float64Var(&o.TopP, "top-p", o.TopP, plainHelp("top_p"))
	f.IntVar(&o.TopK, "top-k", o.TopK, plainHelp("top_k"))
	f.Float64Var(&o.MinP, "min-p", o.MinP, plainHelp("min_p"))
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of the draws")
	f.StringVar(&o.Template, "template", o.Template, plainHelp("template"))
	f.StringVar(&o.Map, "map", "", plainHelp("map"))
	addQuantizeFlag(c, &o.Quantize)
	addComputeFlags(c, &o.Compute)
	addOutputFlags(c, &o.output, "print the result as one JSON object")
	return c
}

func (o *compareOptions) check(args []string) error {
	o.Model = o.io.modelOr(o.Model, o.quiet, args...)
	var errs []error
	check := func(ok bool, format string, a ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, a...))
		}
	}
	check(len(args) == 2, "want two of a run, a checkpoint, an adapter, or the word base, got %d arguments", len(args))
	check(o.Prompts != "", "--prompts is missing: the file of prompts")
	check(o.Reward != "" || o.Scorer != "", "--reward is missing: a reward model, or --scorer: a rule")
	check(o.Reward == "" || o.Scorer == "", "--reward and --scorer both score: give one")
	check(o.K >= 1 && o.K <= rollout.MaxSamples, "--k must lie in [1, %d], got %d", rollout.MaxSamples, o.K)
	check(o.MaxNew >= 1, "--max-new must be at least 1, got %d", o.MaxNew)
	if len(args) == 2 {
		o.A, o.B = args[0], args[1]
	}
	_, wrongMap := datasets.ParseMapping(o.Map)
	return errors.Join(append(errs, flagErrors(o.Sampling.Validate()), model.CheckQuantize(o.Quantize), wrongMap, score.Check(o.Scorer))...)
}

func runCompare(ctx context.Context, o *compareOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet, json: o.json})
	if err := chosen(o.checkpoint, r.note, &o.A, &o.B); err != nil {
		return err
	}
	c, err := align.Compare(ctx, o.CompareOptions, environment(r))
	r.close()
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.io.out, struct {
			V int `json:"v"`
			winrate.Comparison
		}{1, c})
	}
	_, err = fmt.Fprintf(o.io.out, `win rate           %.1f%%, 95%% interval %.1f%% to %.1f%%
at equal lengths   %.1f%%
answers            %d: %d better, %d ties, %d worse
mean score         %s against %s
mean length        %.1f against %.1f tokens
`, 100*c.WinRate, 100*c.Low, 100*c.High, 100*c.LengthControlled, c.Answers, c.Wins, c.Ties, c.Losses,
		short(c.MeanScore[0]), short(c.MeanScore[1]), c.MeanLength[0], c.MeanLength[1])
	return err
}
