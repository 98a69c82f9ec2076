package main

import (
	"align/align"

	"github.com/spf13/cobra"
)

type pretrainOptions struct {
	trainOptions
	config align.PretrainConfig
}

func newPretrainCommand(io *streams, run engine[align.PretrainConfig]) *cobra.Command {
	o := &pretrainOptions{config: align.DefaultPretrainConfig()}
	o.io = io
	fields := o.config.Fields()
	c := &cobra.Command{
		Use:   "pretrain --tokenizer DIR --data FILE",
		Short: "Train a model from random weights",
		Long: `pretrain makes a Llama of a given shape from random weights and trains all of
them on texts. The shape stands in the file of --config, or in flags, under the
names of a config.json: hidden_size, num_hidden_layers and so on.

In go a tokenizer and a file of records with a text each ({"text": "..."}); other
formats of align sft do too. What is longer than max_length is cut into pieces.
Out comes a run folder that every command takes as --model.`,
		Example: `  align tokenizer train --data texts.jsonl --vocab-size 4096 --out tokenizer
  align pretrain --tokenizer tokenizer --data texts.jsonl --config tiny.yaml --out runs/tiny
  align generate --model runs/tiny --raw --prompt "Once"`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runTraining(c, &o.trainOptions, fields, &o.config, o.config.Resume, func(explicit []string, e align.Environment) (align.Result, error) {
				return run(c.Context(), o.config, explicit, e)
			})
		},
	}
	addTrainFlags(c, &o.trainOptions, &o.config.Resume, fields)
	return c
}
