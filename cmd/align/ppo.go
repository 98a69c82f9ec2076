package main

import (
	"align/align"
	"align/internal/config"
	"align/ppo"

	"github.com/spf13/cobra"
)

type ppoOptions struct {
	trainOptions
	config ppo.Config
}

func newPPOCommand(io *streams, run engine[ppo.Config]) *cobra.Command {
	o := &ppoOptions{config: ppo.DefaultConfig()}
	o.io = io
	fields := config.Fields(&o.config)
	c := &cobra.Command{
		Use:   "ppo [--model DIR] --prompts FILE --reward RUN|--scorer RULE",
		Short: "Learn from the scores of own answers",
		Long: `ppo samples answers to the prompts, scores them with a reward model or a rule,
and moves the policy towards the better ones: with a critic
(https://arxiv.org/abs/1707.06347), or with the other answers to the same prompt
as the baseline (--algorithm rloo or grpo).

Policy, reference, critic and a reward model of the same base share its weights.
The reference is the policy as the run began. The prompts may have a column
"reference" or "answer" for rules to compare with.`,
		Example: `  align ppo --model models/llama --adapter runs/sft-001 --prompts prompts.jsonl --reward runs/reward-001
  align ppo --model models/llama --prompts sums.jsonl --scorer gsm8k --algorithm grpo --k 8
  align ppo --resume --out runs/ppo-001`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runTraining(c, &o.trainOptions, fields, &o.config, o.config.Resume, func(explicit []string, e align.Environment) (align.Result, error) {
				return run(c.Context(), o.config, explicit, e)
			})
		},
	}
	addTrainFlags(c, &o.trainOptions, &o.config.Resume, fields)
	hideUnused(c)
	return c
}

// hideUnused leaves the shared settings that ppo has no use for out of the help; as
// flags they are answered with the reason.
func hideUnused(c *cobra.Command) {
	for _, key := range ppo.Unused() {
		if err := c.Flags().MarkHidden(flagName(key)); err != nil {
			panic(err) // the flag is there
		}
	}
}
