package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"align/internal/export"

	"github.com/spf13/cobra"
)

// newMergeCommand is the short form of export --format merged-hf.
func newMergeCommand(io *streams) *cobra.Command {
	o := &exportOptions{io: io}
	o.Format = export.FormatMergedHF
	c := &cobra.Command{
		Use:   "merge RUN",
		Short: "Write a model with its adapter merged as a Hugging Face folder",
		Long: `merge writes the base with the adapter of a run, a checkpoint or an adapter
folder merged into it, as align export --format merged-hf does: a folder that
every program loads that loads the base, each weight in the base's own type. A
reward run becomes a sequence classifier.`,
		Example: `  align merge runs/dpo-001
  align merge runs/dpo-001 --out model
  align merge adapter --model models/llama --out model`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUse(c, fmt.Errorf("want one run, checkpoint or adapter to merge, got %d", len(args)))
			}
			if o.Out == "" {
				o.Out = mergedName(args[0])
			}
			if err := o.check(args); err != nil {
				return wrongUse(c, err)
			}
			return runExport(o)
		},
	}
	c.Flags().StringVar(&o.Out, "out", "", "new `folder` to write; none takes RUN-merged, or RUN-step-N-merged of a checkpoint")
	addExportFlags(c, o)
	return c
}

// mergedName is a name beside a run's folder, also for what lies in the run: one of its
// checkpoints or its adapter.gguf. "." and ".." have theirs above.
func mergedName(run string) string {
	path := filepath.Clean(run)
	whole, err := filepath.Abs(path)
	if err != nil {
		return path + "-merged"
	}
	if name := filepath.Base(path); name == "." || name == ".." {
		path = whole
	}
	switch above := filepath.Dir(whole); {
	case filepath.Base(above) == "checkpoints" && filepath.Dir(above) != above:
		path = beside(path, whole, filepath.Dir(above)) + "-" + filepath.Base(whole)
	case holds(above, "checkpoints"):
		path = beside(path, whole, above)
	}
	return path + "-merged"
}

// beside is the run that a path lies in, relative where the path goes through it.
func beside(path, whole, run string) string {
	inside, err := filepath.Rel(run, whole)
	if rest, ok := strings.CutSuffix(path, string(filepath.Separator)+inside); err == nil && ok {
		return rest
	}
	return run
}
