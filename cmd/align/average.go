package main

import (
	"errors"
	"fmt"
	"os"

	"align/align"

	"github.com/spf13/cobra"
)

func newAverageCommand(io *streams) *cobra.Command {
	var out, base string
	var o output
	c := &cobra.Command{
		Use:   "average RUN RUN ... --out DIR",
		Short: "Average adapters",
		Long: `average writes the mean of adapters that were trained from one start on one
model, as a folder that --adapter, align export and Hugging Face's PEFT take
(https://arxiv.org/abs/2407.21783, section 4.1.5).

It is the mean of the factors, so the adapters must have the same modules, ranks
and scales. Of a run the newest valid checkpoint is taken.`,
		Example: `  align average runs/dpo-001 runs/dpo-002 --out averaged
  align average runs/dpo-001/checkpoints/step-000100 runs/dpo-001 --out averaged`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) < 2 || out == "" {
				return wrongUse(c, errors.New("want two adapters or more, and --out"))
			}
			defer discardOnSignal(os.Exit)()
			r, err := align.Average(args, base, out)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(io.out, struct {
					V int `json:"v"`
					align.Averaged
				}{1, r})
			}
			_, err = fmt.Fprintln(io.out, r.Out)
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "new `folder` to write")
	c.Flags().StringVar(&base, "model", "", "base model; none takes the one that the adapters name (`name`)")
	addOutputFlags(c, &o, "print what the average is made of as one JSON object")
	return c
}
