package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"

	"align/align"
	"align/dpo"
	"align/model"

	"github.com/spf13/cobra"
)

type scoreOptions struct {
	align.ScoreOptions
	reward     string
	pairs, ref string
	loss       string
	beta       float64
	checkpoint string
	output
	io *streams
}

func newScoreCommand(io *streams) *cobra.Command {
	o := &scoreOptions{io: io}
	c := &cobra.Command{
		Use:   "score [--model DIR] --data FILE | --pairs FILE",
		Short: "Print log-probabilities or rewards of examples, or of pairs",
		Long: `score prints the log-probability of every target token of every example, in
nats, with their sum and number, one line per example in the file's order.

With --reward it prints what a reward model gives each example instead; its base
is then the model that it names.

Data is a file in any format of align sft. Without a mask every token but each
document's first is a target.

With --pairs it tells how often the chosen answer of a file of preference pairs
is preferred, with the interval of 95 per cent confidence, and the means of
TRL's evaluation (rewards/margins, logps/chosen and so on); --json has a line for
each pair before the summary. A policy's reward is beta times the
log-probability of the answer over the reference's: the model without the
adapter, or --ref. For a model alone, and for losses without a reference, it is
off: its log-probabilities themselves are compared. Of a run of align dpo, loss,
beta and reference are its own unless they are given, so that the numbers are
those of its evaluation (of kto all but the accuracy, which is of pairs here); of
simpo and orpo they are means of an answer's tokens. With --reward a reward model
scores both answers.`,
		Example: `  align score --model models/llama --data held-out.jsonl
  align score --model models/llama --adapter runs/dpo-001 --data held-out.jsonl --json
  align score --reward runs/reward-001 --data answers.jsonl
  align score --model models/llama --adapter runs/dpo-001 --pairs held-out.jsonl`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c.Flags().Changed("beta"), c.Flags().Changed("loss")); err != nil {
				return wrongUse(c, err)
			}
			if o.pairs != "" {
				return runScorePairs(c.Context(), o)
			}
			return runScore(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Model, "model", "", plainHelp("model"))
	addQuantizeFlag(c, &o.Quantize)
	f.StringVar(&o.Adapter, "adapter", "", "`folder` of an adapter, run or checkpoint; none is the model alone")
	addCheckpointFlag(c, &o.checkpoint)
	f.StringVar(&o.reward, "reward", "", plainHelp("reward"))
	f.StringVar(&o.Data, "data", "", "`file` of examples: JSON, JSONL, CSV, TSV or Parquet, also .gz and .zst")
	f.StringVar(&o.pairs, "pairs", "", "`file` of preference pairs, in place of --data")
	f.StringVar(&o.ref, "ref", "", "of pairs, the reference: base (no adapter), an adapter's `folder` or off (log-probabilities alone); none is that of the run in --adapter, base for an adapter that is of none, and off for a model alone and losses without a reference")
	f.StringVar(&o.loss, "loss", "", "of pairs, the loss `name` whose rewards are told; none is that of the run in --adapter, else "+dpo.DefaultConfig().Loss)
	f.Float64Var(&o.beta, "beta", 0, fmt.Sprintf("of pairs, what a policy's rewards are multiplied by, above 0; none is that of the run in --adapter, else %v", dpo.DefaultParams().Beta))
	f.StringVar(&o.Template, "template", "auto", plainHelp("template"))
	f.StringVar(&o.Map, "map", "", plainHelp("map"))
	addComputeFlags(c, &o.Compute)
	addOutputFlags(c, &o.output, "print one JSON object per example, with the log-probability of every target")
	return c
}

// check wants to know whether --beta and --loss are given.
func (o *scoreOptions) check(weighs, names bool) error {
	var errs []error
	if o.reward == "" {
		o.Model = o.io.modelOr(o.Model, o.quiet, o.Adapter)
	}
	if o.reward != "" && (o.Adapter != "" || o.Quantize != "") {
		errs = append(errs, errors.New("--reward brings its own adapter and quantize: leave --adapter and --quantize out"))
	}
	switch {
	case o.Data == "" && o.pairs == "":
		errs = append(errs, errors.New("--data is missing: the file of examples, or --pairs: of preference pairs"))
	case o.Data != "" && o.pairs != "":
		errs = append(errs, errors.New("--data and --pairs are two files: give one"))
	}
	if weighs && !(o.beta > 0 && o.beta <= math.MaxFloat64) {
		errs = append(errs, fmt.Errorf("--beta must be positive, got %v", o.beta))
	}
	if (o.ref != "" || weighs || names) && (o.pairs == "" || o.reward != "") {
		errs = append(errs, errors.New("--ref, --loss and --beta are of a policy on --pairs"))
	}
	if names {
		_, err := dpo.ParseWeighted(o.loss)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, model.CheckQuantize(o.Quantize))...)
}

func runScore(ctx context.Context, o *scoreOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet, json: o.json})
	defer r.close()
	if err := chosen(o.checkpoint, r.note, &o.Adapter, &o.reward); err != nil {
		return err
	}
	out := bufio.NewWriter(o.io.out)
	env := environment(r)
	if o.reward != "" {
		err := align.ScoreReward(ctx, o.reward, o.ScoreOptions, env, func(x float64) error {
			if o.json {
				return printJSON(out, struct {
					V     int     `json:"v"`
					Score float64 `json:"score"`
				}{1, x})
			}
			_, err := out.WriteString(short(x) + "\n")
			return err
		})
		return errors.Join(err, out.Flush())
	}
	err := align.Score(ctx, o.ScoreOptions, env, func(s align.Scored) error {
		if o.json {
			if s.LogProbs == nil {
				s.LogProbs = []float64{}
			}
			return printJSON(out, struct {
				V int `json:"v"`
				align.Scored
			}{1, s})
		}
		_, err := out.WriteString(short(s.Sum) + "\t" + short(s.Sum/float64(max(s.Count, 1))) + "\n")
		return err
	})
	return errors.Join(err, out.Flush())
}
