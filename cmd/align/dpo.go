package main

import (
	"align/align"
	"align/dpo"
	"align/internal/config"

	"github.com/spf13/cobra"
)

type dpoOptions struct {
	trainOptions
	config dpo.Config
}

func newDPOCommand(io *streams, run engine[dpo.Config]) *cobra.Command {
	o := &dpoOptions{config: dpo.DefaultConfig()}
	o.io = io
	fields := config.Fields(&o.config)
	c := &cobra.Command{
		Use:   "dpo [--model DIR] --pairs FILE",
		Short: "Align on preference pairs",
		Long: `dpo trains an adapter to prefer the chosen answer of each pair to the rejected
one, by direct preference optimisation (https://arxiv.org/abs/2305.18290).

In go a model folder and a file of pairs: prompt, chosen and rejected as texts
or messages, whole transcripts, or token ids; the format is recognised and
printed. With --loss kto the file holds single answers, prompt, completion and
label (true: desirable), or pairs, each taken as two of them. Out comes a run
folder with checkpoints that --resume, --adapter and align export take.`,
		Example: `  align dpo --model models/llama --pairs prefs.jsonl
  align dpo --model models/llama --pairs prefs.jsonl --beta 0.05 --nll 0.2 --out runs/first
  align dpo --model models/llama --loss kto --data labelled.jsonl
  align dpo --resume --out runs/first`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runTraining(c, &o.trainOptions, fields, &o.config, o.config.Resume, func(explicit []string, e align.Environment) (align.Result, error) {
				for _, line := range presetNotes(c, fields) {
					e.Note(line)
				}
				return run(c.Context(), o.config, explicit, e)
			})
		},
	}
	addTrainFlags(c, &o.trainOptions, &o.config.Resume, fields)
	addPreset(c, "dpo")
	return c
}
