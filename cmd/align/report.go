package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"align/align"

	"github.com/spf13/cobra"
)

// newReportCommand draws runs as one page.
func newReportCommand(io *streams) *cobra.Command {
	var out string
	var o output
	c := &cobra.Command{
		Use:   "report RUN [RUN...]",
		Short: "Draw runs as one HTML page, laid over each other",
		Long: `report writes an HTML page with the curves of every metric, the verdict, the
settings that differ and the answers before and after. It needs no network and
no script. Every training run leaves its own as report.html in its folder.`,
		Example: `  align report runs/dpo-001 runs/dpo-002 --out both.html
  align report runs/dpo-001`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return wrongUse(c, errors.New("want the folder of a run, or of several"))
			case out == "" && len(args) > 1:
				return wrongUse(c, hint(fmt.Errorf("%d runs make a page that belongs to none of them", len(args)), "name its file with --out FILE"))
			case out == "":
				out = filepath.Join(args[0], align.ReportFile)
			}
			defer discardOnSignal(os.Exit)()
			if err := align.Report(out, args...); err != nil {
				return err
			}
			if o.json {
				return printJSON(io.out, struct {
					V    int    `json:"v"`
					Path string `json:"path"`
				}{1, out})
			}
			_, err := fmt.Fprintln(io.out, out)
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "`file` of the page; none takes report.html in the folder of the one run")
	addOutputFlags(c, &o, "print the page's path as one JSON object")
	return c
}
