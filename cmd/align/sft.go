package main

import (
	"align/align"
	"align/internal/config"
	"align/sft"

	"github.com/spf13/cobra"
)

type sftOptions struct {
	trainOptions
	config sft.Config
}

func newSFTCommand(io *streams, run engine[sft.Config]) *cobra.Command {
	o := &sftOptions{config: sft.DefaultConfig()}
	o.io = io
	fields := config.Fields(&o.config)
	c := &cobra.Command{
		Use:   "sft [--model DIR] --data FILE",
		Short: "Fine-tune on examples",
		Long: `sft trains an adapter to give the answers of a file of examples.

In go a model folder and a file: conversations (messages, sharegpt), alpaca
records, prompt and completion, a column of plain text, or token ids; the format
is recognised and printed. Out comes a run folder with checkpoints that
--resume, --adapter and align export take.`,
		Example: `  align sft --model models/llama --data examples.jsonl
  align sft --model models/llama --data alpaca.json --steps 100 --out runs/alpaca
  align sft --resume --out runs/alpaca`,
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
	addPreset(c, "sft")
	return c
}
