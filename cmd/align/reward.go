package main

import (
	"align/align"
	"align/internal/config"
	"align/reward"

	"github.com/spf13/cobra"
)

type rewardOptions struct {
	trainOptions
	config reward.Config
}

func newRewardCommand(io *streams, run engine[reward.Config]) *cobra.Command {
	o := &rewardOptions{config: reward.DefaultConfig()}
	o.io = io
	fields := config.Fields(&o.config)
	c := &cobra.Command{
		Use:   "reward [--model DIR] --pairs FILE",
		Short: "Train a reward model on preferences",
		Long: `reward trains an adapter and a head that give the chosen answer of each pair a
higher score than the rejected one (Bradley-Terry,
https://arxiv.org/abs/2203.02155, equation 1).

In go a model folder and a file of pairs, or of prompts with ranked answers
("prompt", "responses" and "ranks" or "scores"), whose loss is the mean over their
pairs or, with --ranking plackett-luce, the likelihood of their order. Out comes a run that
align rejection and align ppo take as --reward.`,
		Example: `  align reward --model models/llama --pairs prefs.jsonl
  align reward --model models/llama --pairs ranked.jsonl --centering 0.01 --out runs/judge
  align reward --resume --out runs/judge`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runTraining(c, &o.trainOptions, fields, &o.config, o.config.Resume, func(explicit []string, e align.Environment) (align.Result, error) {
				return run(c.Context(), o.config, explicit, e)
			})
		},
	}
	addTrainFlags(c, &o.trainOptions, &o.config.Resume, fields)
	return c
}
