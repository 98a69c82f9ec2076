package main

import (
	"context"
	"fmt"
	"strings"

	"align/align"
	"align/align/rounds"
	"align/dpo"
	"align/internal/config"
	"align/internal/nearest"
	"align/internal/plan"
	"align/ppo"
	"align/rejection"
	"align/reward"
	"align/sft"

	"github.com/spf13/cobra"
)

func newPlanCommand(io *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "plan sft|dpo|reward|ppo|rejection|pretrain|rounds FLAGS",
		Short: "Say what a run would take, and run nothing",
		Long: `plan takes the flags of one of these commands and tells what that run would do and
take: parameters, what of the data is used, tokens, packs and steps; memory
by its use and by save policy, with the policy that fits; and a time, from two
seconds of steps on random models of the same widths.

A run that does not fit is an error that names the largest setting that does.
--device cuda --memory 24GiB plans for a card that need not be there, in memory alone.`,
		Example: `  align plan sft --model models/llama --data examples.jsonl
  align plan dpo --model models/llama --pairs prefs.jsonl --batch 8
  align plan dpo --config runs/first/run.yaml --json`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return wrongUse(c, fmt.Errorf("want one method of %s", strings.Join(planned, ", ")))
			}
			err := fmt.Errorf("cannot plan %q, want one of %s", args[0], strings.Join(planned, ", "))
			if near := nearest.Name(args[0], planned); near != "" {
				err = fmt.Errorf("cannot plan %q, did you mean %q", args[0], near)
			}
			return wrongUse(c, err)
		},
	}
	c.AddCommand(newPlanSFTCommand(io), newPlanDPOCommand(io), newPlanRewardCommand(io),
		newPlanPPOCommand(io), newPlanRejectionCommand(io), newPlanPretrainCommand(io), newPlanRoundsCommand(io))
	return c
}

// planned are the methods whose runs can be planned.
var planned = []string{"sft", "dpo", "reward", "ppo", "rejection", "pretrain", "rounds"}

func newPlanSFTCommand(io *streams) *cobra.Command {
	conf := sft.DefaultConfig()
	c := planOf("sft", "--data FILE", "Plan fine-tuning on examples")
	planTraining(io, c, &conf, &conf.Resume, config.Fields(&conf), align.PlanSFT)
	addPreset(c, "sft")
	return c
}

func newPlanDPOCommand(io *streams) *cobra.Command {
	conf := dpo.DefaultConfig()
	c := planOf("dpo", "--pairs FILE", "Plan alignment on preference pairs")
	planTraining(io, c, &conf, &conf.Resume, config.Fields(&conf), align.PlanDPO)
	addPreset(c, "dpo")
	return c
}

func newPlanRewardCommand(io *streams) *cobra.Command {
	conf := reward.DefaultConfig()
	c := planOf("reward", "--pairs FILE", "Plan a reward model")
	planTraining(io, c, &conf, &conf.Resume, config.Fields(&conf), align.PlanReward)
	return c
}

func newPlanPPOCommand(io *streams) *cobra.Command {
	conf := ppo.DefaultConfig()
	c := planOf("ppo", "--prompts FILE --reward RUN", "Plan learning from sampled and scored answers")
	planTraining(io, c, &conf, &conf.Resume, config.Fields(&conf), align.PlanPPO)
	hideUnused(c)
	return c
}

func newPlanRejectionCommand(io *streams) *cobra.Command {
	o := &trainOptions{io: io}
	conf := rejection.DefaultConfig()
	fields := config.Fields(&conf)
	c := planOf("rejection", "--prompts FILE --reward RUN", "Plan sampling many answers")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return runPlan(c, o, fields, &rejectionSettings{&conf}, false, func(ctx context.Context, _ []string, e align.Environment) (*plan.Plan, error) {
			return align.PlanRejection(ctx, conf, e)
		})
	}
	addSettings(c, fields)
	c.Flags().StringVar(&o.configFile, "config", "", "YAML `file` of settings; flags override it")
	addOutputFlags(c, &o.output, "print one JSON object")
	return c
}

// rejectionSettings are those of align rejection, which takes the adapter's base or
// the model inside the program where none is named.
type rejectionSettings struct{ *rejection.Config }

// Validate sets the model and returns all faults.
func (s *rejectionSettings) Validate() error {
	if s.Model == "" {
		s.Model, _ = align.Unnamed(context.Background(), s.Adapter)
	}
	return s.Config.Validate()
}

func newPlanPretrainCommand(io *streams) *cobra.Command {
	conf := align.DefaultPretrainConfig()
	c := &cobra.Command{
		Use: "pretrain --tokenizer DIR --data FILE", Short: "Plan training a model from random weights", Args: noArguments,
		Long:    "Plan training a model from random weights: the flags are those of align pretrain, and nothing is run.",
		Example: "  align plan pretrain --tokenizer tokenizer --data texts.jsonl --config tiny.yaml",
	}
	planTraining(io, c, &conf, &conf.Resume, conf.Fields(), align.PlanPretrain)
	return c
}

func newPlanRoundsCommand(io *streams) *cobra.Command {
	o := &roundsOptions{config: rounds.DefaultConfig(), io: io}
	fields := config.Fields(&o.config)
	c := &cobra.Command{
		Use: "rounds --config FILE", Short: "Plan aligning in several rounds of stages", Args: noArguments,
		Long: `Plan aligning in several rounds: every stage of the first round by itself, then
the time of all rounds. Best answers and pairs, which are not there yet, are taken
to be one for each prompt and as long as they may be.`,
		Example: "  align plan rounds --config rounds.yaml",
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.settle(c, fields); err != nil {
			return wrongUse(c, err)
		}
		if err := tryOut(c, false); err != nil {
			return err
		}
		r := newReporter(io, output{quiet: o.quiet})
		p, err := rounds.Plan(c.Context(), o.config, planning(r))
		r.close()
		if err != nil {
			return err
		}
		if o.json {
			return printJSON(io.out, p)
		}
		return printRoundsPlan(io.out, p)
	}
	addSettings(c, fields)
	c.Flags().StringVar(&o.configFile, "config", "", "YAML `file` of settings, as align init rounds prints it; flags override it")
	addOutputFlags(c, &o.output, "print one JSON object")
	return c
}

func planOf(method, data, short string) *cobra.Command {
	return &cobra.Command{
		Use: method + " [--model DIR] " + data, Short: short, Args: noArguments,
		Long:    short + ": the flags are those of align " + method + ", and nothing is run.",
		Example: fmt.Sprintf("  align plan %s --model models/llama %s", method, data),
	}
}

// planTraining gives c the flags of a trainer's command, and the plan that is made
// in place of the run.
func planTraining[C any, P interface {
	*C
	validator
}](io *streams, c *cobra.Command, conf P, resume *bool, fields []config.Field, made func(context.Context, C, []string, align.Environment) (*plan.Plan, error)) {
	o := &trainOptions{io: io}
	c.RunE = func(c *cobra.Command, _ []string) error {
		return runPlan(c, o, fields, conf, *resume, func(ctx context.Context, explicit []string, e align.Environment) (*plan.Plan, error) {
			return made(ctx, *conf, explicit, e)
		})
	}
	addTrainFlags(c, o, resume, fields)
	c.Flags().Lookup("json").Usage = "print one JSON object"
}

func runPlan(c *cobra.Command, o *trainOptions, fields []config.Field, checked validator, resume bool, made func(context.Context, []string, align.Environment) (*plan.Plan, error)) error {
	explicit, err := settle(c, o, fields, checked, resume)
	if err != nil {
		return err
	}
	if err := tryOut(c, resume); err != nil {
		return err
	}
	r := newReporter(o.io, output{quiet: o.quiet, json: o.json})
	p, err := made(c.Context(), explicit, planning(r))
	r.close()
	if err != nil {
		return err
	}
	p.Notes = append(presetNotes(c, fields), p.Notes...)
	if o.json {
		return printJSON(o.io.out, p)
	}
	return printPlan(o.io.out, p)
}

// tryOut tries the folder that the run would write to. One that a file of settings names
// is mostly the folder of the run that wrote the file.
func tryOut(c *cobra.Command, resume bool) error {
	out := c.Flags().Lookup("out")
	if out == nil || !out.Changed || resume {
		return nil
	}
	if c.Name() == "rounds" {
		return rounds.CheckOut(out.Value.String())
	}
	return align.CheckOut(c.Name(), out.Value.String())
}
