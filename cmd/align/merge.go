package main

import (
	"path/filepath"

	"align/align"

	"github.com/spf13/cobra"
)

// newMergeCommand is the short form of export --format merged-hf.
func newMergeCommand(io *streams) *cobra.Command {
	o := &exportOptions{io: io}
	o.Format = align.FormatMergedHF
	c := &cobra.Command{
		Use:   "merge RUN",
		Short: "Write a model with its adapter merged as a Hugging Face folder",
		Long: `merge writes the base with the adapter of a run, a checkpoint or an adapter
folder merged into it, as align export --format merged-hf does: a folder that
every program loads that loads the base, each weight in the base's own type.`,
		Example: `  align merge runs/dpo-001
  align merge runs/dpo-001 --out model
  align merge adapter --model models/llama --out model`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && o.Out == "" {
				o.Out = filepath.Clean(args[0]) + "-merged"
			}
			if err := o.check(args); err != nil {
				return wrongUse(c, err)
			}
			return runExport(o)
		},
	}
	c.Flags().StringVar(&o.Out, "out", "", "new `folder` to write; none takes RUN-merged")
	addExportFlags(c, o)
	return c
}
