package main

import (
	"bufio"
	"context"
	"errors"

	"align/align"
	"align/model"

	"github.com/spf13/cobra"
)

type scoreOptions struct {
	align.ScoreOptions
	reward     string
	checkpoint string
	output
	io *streams
}

func newScoreCommand(io *streams) *cobra.Command {
	o := &scoreOptions{io: io}
	c := &cobra.Command{
		Use:   "score [--model DIR] --data FILE",
		Short: "Print log-probabilities or rewards of examples",
		Long: `score prints the log-probability of every target token of every example, in
nats, with their sum and number, one line per example in the file's order.

With --reward it prints what a reward model gives each example instead; its base
is then the model that it names.

Data is a file in any format of align sft. Without a mask every token but each
document's first is a target.`,
		Example: `  align score --model models/llama --data held-out.jsonl
  align score --model models/llama --adapter runs/dpo-001 --data held-out.jsonl --json
  align score --reward runs/reward-001 --data answers.jsonl`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return wrongUse(c, err)
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
	f.StringVar(&o.Data, "data", "", plainHelp("data"))
	f.StringVar(&o.Template, "template", "auto", plainHelp("template"))
	f.StringVar(&o.Map, "map", "", plainHelp("map"))
	addComputeFlags(c, &o.Compute)
	addOutputFlags(c, &o.output, "print one JSON object per example, with the log-probability of every target")
	return c
}

func (o *scoreOptions) check() error {
	var errs []error
	if o.reward == "" {
		o.Model = o.io.modelOr(o.Model, o.quiet)
	}
	if o.reward != "" && (o.Adapter != "" || o.Quantize != "") {
		errs = append(errs, errors.New("--reward brings its own adapter and quantize: leave --adapter and --quantize out"))
	}
	if o.Data == "" {
		errs = append(errs, errors.New("--data is missing: the file of examples"))
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
	env := align.Environment{Note: r.note, Progress: r.progress}
	if o.reward != "" {
		err := align.ScoreReward(ctx, o.reward, o.ScoreOptions, env, func(x float64) error {
			if o.json {
				return printJSON(out, map[string]float64{"score": x})
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
			return printJSON(out, s)
		}
		_, err := out.WriteString(short(s.Sum) + "\t" + short(s.Sum/float64(max(s.Count, 1))) + "\n")
		return err
	})
	return errors.Join(err, out.Flush())
}
