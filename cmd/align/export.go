package main

import (
	"errors"
	"fmt"

	"align/align"

	"github.com/spf13/cobra"
)

type exportOptions struct {
	align.ExportOptions
	output
	io *streams
}

func newExportCommand(io *streams) *cobra.Command {
	o := &exportOptions{io: io}
	c := &cobra.Command{
		Use:   "export RUN --format gguf|peft --out PATH",
		Short: "Write an adapter for other programs",
		Long: `export writes the adapter of a run, a checkpoint or an adapter folder.

gguf is the file that llama.cpp loads with --lora; peft is the folder that
Hugging Face's PEFT loads. What was written is read back, and the logits of
some tokens are compared with the adapter's; the difference is printed.`,
		Example: `  align export runs/dpo-001 --format gguf --out adapter.gguf
  align export runs/dpo-001 --format peft --out adapter
  align export runs/dpo-001/checkpoints/step-000100 --format gguf --out step-100.gguf`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return wrongUse(c, err)
			}
			return runExport(o)
		},
	}
	c.Flags().StringVar(&o.Format, "format", "", "`format` to write: gguf or peft")
	c.Flags().StringVar(&o.Out, "out", "", "`path` to write: a file for gguf, a new folder for peft")
	c.Flags().StringVar(&o.Model, "model", "", "`folder` of the base model; none takes the one that the adapter names")
	addComputeFlags(c, &o.Compute)
	addOutputFlags(c, &o.output, "print the result as one JSON object")
	return c
}

// addComputeFlags adds the flags of every command that runs a model.
func addComputeFlags(c *cobra.Command, o *align.Compute) {
	flags := c.Flags()
	flags.IntVar(&o.Threads, "threads", 0, plainHelp("threads"))
	flags.StringVar(&o.Device, "device", "auto", "`device` that computes: auto or cpu")
	flags.StringVar(&o.Precision, "precision", "auto", "`form` of numbers in the model: auto, f32 or bf16")
	for _, name := range []string{"threads", "device", "precision"} {
		flags.Lookup(name).Annotations = map[string][]string{sectionKey: {machine}}
	}
}

// addQuantizeFlag adds --quantize.
func addQuantizeFlag(c *cobra.Command, value *string) {
	c.Flags().StringVar(value, "quantize", "", plainHelp("quantize"))
	c.Flags().Lookup("quantize").Annotations = map[string][]string{sectionKey: {machine}}
}

// addOutputFlags adds --quiet and --json.
func addOutputFlags(c *cobra.Command, o *output, json string) {
	c.Flags().BoolVar(&o.quiet, "quiet", false, "print errors and the result only")
	c.Flags().BoolVar(&o.json, "json", false, json)
	for _, name := range []string{"quiet", "json"} {
		c.Flags().Lookup(name).Annotations = map[string][]string{sectionKey: {machine}}
	}
}

func (o *exportOptions) check(args []string) error {
	var errs []error
	if len(args) != 1 {
		errs = append(errs, fmt.Errorf("want one run, checkpoint or adapter to export, got %d arguments", len(args)))
	} else {
		o.Adapter = args[0]
	}
	if o.Format != align.FormatGGUF && o.Format != align.FormatPEFT {
		errs = append(errs, fmt.Errorf("--format: want gguf or peft, got %q", o.Format))
	}
	if o.Out == "" {
		errs = append(errs, errors.New("--out is missing: the file or folder to write"))
	}
	return errors.Join(errs...)
}

func runExport(o *exportOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet})
	done, err := align.Export(o.ExportOptions, align.Environment{Note: r.note, Progress: r.progress})
	r.close()
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.io.out, struct {
			V          int     `json:"v"`
			Path       string  `json:"path"`
			Parameters int     `json:"parameters"`
			Difference float64 `json:"max_logit_difference"`
			Scale      float64 `json:"max_logit"`
			Tokens     int     `json:"tokens"`
		}{1, done.Path, done.Parameters, done.Difference, done.Scale, done.CheckedTokens})
	}
	r.note(fmt.Sprintf("read back: the largest difference of a logit is %s, of logits up to %s, on %d tokens",
		short(done.Difference), short(done.Scale), done.CheckedTokens))
	_, err = fmt.Fprintln(o.io.out, done.Path)
	return err
}
