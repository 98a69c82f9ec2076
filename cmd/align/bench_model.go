package main

import (
	"fmt"
	"os"
	"strings"

	"align/align"
	"align/model"

	"github.com/spf13/cobra"
)

// newMakeModelCommand is hidden: it serves the measurements of
// docs/performance.md.
func newMakeModelCommand(io *streams) *cobra.Command {
	var shape, tokenizer, out string
	var quiet bool
	c := &cobra.Command{
		Use: "make-model --cfg SHAPE --out DIR", Short: "Write a model folder of random weights", Hidden: true, Args: noArguments,
		Long: `make-model writes a Hugging Face folder of random bfloat16 weights with outlier
channels, in shards of 5 GB, to measure loading and training at a size that is
not at hand. 8b takes 16 GB of disk.`,
		Example: "  align bench make-model --cfg 8b --out random-8b",
		RunE: func(c *cobra.Command, _ []string) error {
			defer discardOnSignal(os.Exit)()
			if err := align.MakeModel(shape, tokenizer, out); err != nil {
				return err
			}
			_, err := fmt.Fprintln(io.out, out)
			return err
		},
	}
	c.Flags().StringVar(&shape, "cfg", "tiny", "`shape` of the model: "+strings.Join(model.ShapeNames, ", ")+", or a model folder's")
	c.Flags().StringVar(&tokenizer, "tokenizer", "builtin:tiny", "`model` whose tokenizer is copied")
	c.Flags().StringVar(&out, "out", "", "new `folder`")
	addQuietFlag(c, &quiet)
	return c
}
