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
	output
	io *streams
}

func newScoreCommand(io *streams) *cobra.Command {
	o := &scoreOptions{io: io}
	c := &cobra.Command{
		Use:   "score --model DIR --data FILE",
		Short: "Print the log-probabilities of examples",
		Long: `score prints the log-probability of every target token of every example, in
nats, with their sum and number, one line per example in the file's order.

Data is a file in any format of align sft. Without a mask every token but each
document's first is a target.`,
		Example: `  align score --model models/llama --data held-out.jsonl
  align score --model models/llama --adapter runs/dpo-001 --data held-out.jsonl --json`,
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
	f.StringVar(&o.Data, "data", "", plainHelp("data"))
	f.StringVar(&o.Template, "template", "auto", plainHelp("template"))
	f.StringVar(&o.Map, "map", "", plainHelp("map"))
	addComputeFlags(c, &o.Compute)
	addOutputFlags(c, &o.output, "print one JSON object per example, with the log-probability of every target")
	return c
}

func (o *scoreOptions) check() error {
	var errs []error
	if o.Model == "" {
		o.Model = builtinModel
	}
	if o.Data == "" {
		errs = append(errs, errors.New("--data is missing: the file of examples"))
	}
	return errors.Join(append(errs, model.CheckQuantize(o.Quantize))...)
}

func runScore(ctx context.Context, o *scoreOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet, json: o.json})
	defer r.close()
	out := bufio.NewWriter(o.io.out)
	err := align.Score(ctx, o.ScoreOptions, align.Environment{Note: r.note, Progress: r.progress}, func(s align.Scored) error {
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
