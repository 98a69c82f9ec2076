package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"align/internal/bench"
	"align/model"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type benchOptions struct {
	bench.Options
	output
	io *streams
}

func newBenchCommand(io *streams) *cobra.Command {
	o := &benchOptions{Options: bench.DefaultOptions(), io: io}
	c := &cobra.Command{
		Use:   "bench [sft|dpo|ppo|decode|rollout|gemm|attention|elementwise|machine ...]",
		Short: "Measure this machine on a model's shape",
		Long: `bench runs the trainers' own steps, generation or single kernels on a model of
random weights, or a GGUF file's own, and prints how fast they are, with the
floor beside each figure: what the machine can do at best, measured in the same
run. For training and products that is multiplication in registers alone, for
decode the memory's read rate where that is the tighter bound. ratio is the
figure over its floor. Some processors run work that loads what it multiplies at a
lower clock than that loop.

Operations are counted by one rule: forward 2tN + 2hVC + 4aHDL + 2tP and
backward 2t(N - q, k and v of layer 0) + 2hVC + 8aHDL + 4tP for t tokens, h of
them predicted, a pairs in attention, N values in linear layers and P in the
adapter. Recompute is not counted. Tokens of dpo are counted as if each answer
had its prompt to itself; its operations are those of the pack, where it does not.

rollout draws a batch of answers by the engine of align ppo: to as many prompts,
to one prompt that they share, and one after the other. ppo is a rollout with
all that follows: scores of a reward model, the passes of policy, reference and
critic, and 4 epochs, with the time of each part.

On a card (--device cuda) sft, dpo, decode, rollout and ppo also give the time of
every kernel of one step, or of one batch of answers with what is learnt from
it, by the card's own clock, beside its floor:
the longer of its bytes at the rate of a sum of long vectors and its operations at
the rate of a large product, both measured before. Such a ratio is 1 or more. The
precision is bf16 there.

With --json each figure is one object with name, value, unit, floor and ratio;
the last of a workload has tps_core, tps_wall, rss_mib and more.`,
		Example: `  align bench
  align bench sft dpo --cfg 1b --precision bf16 --threads 2
  align bench rollout ppo --batch 16 --prompt 256 --resp 128 --precision bf16
  align bench decode --cfg 1b --precision bf16 --quantize nf4
  align bench decode --cfg models/llama --batch 16 --prompt 128 --resp 64 --json
  align bench decode --cfg llama-q4_0.gguf --precision bf16`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if o.Workloads = args; len(args) == 0 {
				o.Workloads = []string{"sft"}
			}
			if o.Compute.OnCard() && !c.Flags().Changed("precision") {
				o.Compute.Precision = "bf16"
			}
			if err := o.Validate(); err != nil {
				return wrongUse(c, err)
			}
			if err := unread(c, o.Workloads); err != nil {
				return wrongUse(c, err)
			}
			return runBench(c.Context(), o)
		},
	}
	c.AddCommand(newMakeModelCommand(io))
	f := c.Flags()
	f.StringVar(&o.Shape, "cfg", o.Shape, "`shape` of the model: "+strings.Join(model.ShapeNames, ", ")+", a model folder's, or a GGUF file, whose own weights are taken")
	f.IntVar(&o.Batch, "batch", o.Batch, "sequences of a step, pairs of dpo, or answers of a rollout, 1 or more")
	f.IntVar(&o.Micro, "micro", o.Micro, "answers of a micro-batch of ppo")
	f.IntVar(&o.Length, "seq", o.Length, "tokens of a sequence of sft, gemm, attention and elementwise")
	f.IntVar(&o.Prompt, "prompt", o.Prompt, "tokens of a prompt of dpo, ppo, decode and rollout")
	f.IntVar(&o.Response, "resp", o.Response, "tokens of an answer of dpo, ppo, decode and rollout")
	f.Float64Var(&o.LossShare, "loss-share", o.LossShare, "share of sft's tokens that carry loss, above 0 to 1")
	f.StringVar(&o.Reference, "reference", o.Reference, "what a step of dpo includes: `cached` log-probabilities or every pair's reference pass")
	f.IntVar(&o.Rank, "rank", o.Rank, "rank of the adapter on all linear layers")
	f.Float64Var(&o.Dropout, "dropout", o.Dropout, "share of the adapter's inputs that sft and dpo set to zero, 0 to below 1; training itself has 0.05 in sft")
	f.IntVar(&o.Steps, "steps", o.Steps, "steps that are measured, 1 or more")
	f.IntVar(&o.Warmup, "warmup", o.Warmup, "steps before them")
	f.StringVar(&o.SavePolicy, "save-policy", o.SavePolicy, plainHelp("save_policy"))
	addQuantizeFlag(c, &o.Quantize)
	addComputeFlags(c, &o.Compute)
	// Both sides of a comparison name their numbers, so there is no auto.
	precision := c.Flags().Lookup("precision")
	precision.Usage, precision.DefValue, o.Compute.Precision = "`form` of numbers in the model: f32 or bf16, which a card always has", "f32", "f32"
	addOutputFlags(c, &o.output, "print one JSON object per figure")
	return c
}

// unread are the flags that were given and that no workload reads.
func unread(c *cobra.Command, workloads []string) error {
	var errs []error
	c.Flags().Visit(func(f *pflag.Flag) { errs = append(errs, bench.CheckFlag(f.Name, workloads)) })
	return errors.Join(errs...)
}

func runBench(ctx context.Context, o *benchOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet, json: o.json})
	defer r.close()
	return bench.Measure(ctx, o.Options, working(r), func(f bench.Figure) error {
		if o.json {
			return printJSON(o.io.out, struct {
				V int `json:"v"`
				bench.Figure
			}{1, f})
		}
		r.close()
		_, err := fmt.Fprintln(o.io.out, figureLine(f))
		return err
	})
}

// figureLine is a figure for eyes: name, value, and the floor where there is one.
func figureLine(f bench.Figure) string {
	line := fmt.Sprintf("%-40s %10s %s", f.Name, short(f.Value), f.Unit)
	if f.Floor > 0 {
		line = fmt.Sprintf("%-66s floor %-10s ratio %.3f", line, short(f.Floor), f.Ratio)
	}
	return strings.TrimRight(line, " ")
}
