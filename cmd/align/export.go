package main

import (
	"errors"
	"fmt"
	"strings"

	"align/internal/compute"
	"align/internal/export"
	"align/model"

	"github.com/spf13/cobra"
)

type exportOptions struct {
	export.Options
	checkpoint string
	output
	io *streams
}

func newExportCommand(io *streams) *cobra.Command {
	o := &exportOptions{io: io}
	c := &cobra.Command{
		Use:   "export RUN --format FORMAT --out PATH",
		Short: "Write an adapter, or a model with it merged, for other programs",
		Long: `export writes what a run, a checkpoint or an adapter folder holds.

  gguf         the adapter as the file that llama.cpp loads with --lora; not a
               DoRA, nor modules trained whole, which it cannot hold; a reward
               run's score head is left out
  peft         the adapter as the folder that Hugging Face's PEFT loads; of a
               reward run with its score head, as a sequence classifier
  merged-hf    the base with the adapter merged, as a Hugging Face folder; of a
               reward run a sequence classifier
  merged-gguf  the same as one GGUF file for llama.cpp, with a Modelfile for
               Ollama beside it; --type is its number type
  hf           a run that trained all weights (--full, pretrain), as a Hugging
               Face folder in bf16, or f32 by --type

The sums of a merge are exact to float32 and written in the base's own type. A
quantised base merges to q8_0 unless --type says otherwise. A model card lies in
each folder and beside each GGUF file. What was written is
read back and compared with the model as it was trained: the largest difference
of a logit, how often both put the same token on top, and for a merge the
divergence (KL) of the two on a text; of a reward run the largest difference of
a score.`,
		Example: `  align export runs/dpo-001 --format merged-gguf --type q8_0 --out model.gguf
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
	c.Flags().StringVar(&o.Format, "format", "", "`format` to write: gguf, peft, merged-hf, merged-gguf or hf")
	c.Flags().StringVar(&o.Type, "type", "", "number `type` of a merged GGUF: f32, f16, bf16, q8_0, q4_0, q4_k or q6_k; none takes the base's; of hf f32 or bf16")
	c.Flags().StringVar(&o.Out, "out", "", "`path` to write: a file for gguf and merged-gguf, a new folder for peft, merged-hf and hf")
	addExportFlags(c, o)
	return c
}

// addExportFlags adds the flags that export and merge share.
func addExportFlags(c *cobra.Command, o *exportOptions) {
	c.Flags().StringVar(&o.Model, "model", "", "`name` of the base model; none takes the one that the adapter names")
	addCheckpointFlag(c, &o.checkpoint)
	addComputeFlags(c, &o.Compute)
	addOutputFlags(c, &o.output, "print the result as one JSON object")
}

// addComputeFlags adds the flags of every command that runs a model, whose values
// are looked at before the command does anything.
func addComputeFlags(c *cobra.Command, o *compute.Settings) {
	c.PreRunE = func(c *cobra.Command, _ []string) error { return wrongUse(c, o.Validate()) }
	flags := c.Flags()
	flags.IntVar(&o.Threads, "threads", 0, plainHelp("threads"))
	flags.StringVar(&o.Device, "device", "auto", "`device` that computes: cpu, cuda or cuda:1 and so on; auto is cpu")
	flags.StringVar(&o.Memory, "memory", "", plainHelp("memory"))
	flags.StringVar(&o.Precision, "precision", "auto", "`form` of numbers in the model: auto, f32 or bf16")
	for _, name := range []string{"threads", "device", "memory", "precision"} {
		flags.Lookup(name).Annotations = map[string][]string{sectionKey: {machine}}
	}
}

// addQuantizeFlag adds --quantize.
func addQuantizeFlag(c *cobra.Command, value *string) {
	c.Flags().StringVar(value, "quantize", "", plainHelp("quantize"))
	c.Flags().Lookup("quantize").Annotations = map[string][]string{sectionKey: {machine}}
}

func (o *exportOptions) check(args []string) error {
	var errs []error
	if len(args) != 1 {
		errs = append(errs, fmt.Errorf("want one run, checkpoint or adapter to export, got %d arguments", len(args)))
	} else {
		o.Adapter = args[0]
	}
	if err := o.Validate(); err != nil {
		for line := range strings.Lines(err.Error()) {
			errs = append(errs, errors.New("--"+strings.TrimSuffix(line, "\n")))
		}
	}
	return errors.Join(errs...)
}

func runExport(o *exportOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet})
	defer discardOnSignal(leaver(r))()
	if err := chosen(o.checkpoint, r.note, &o.Adapter); err != nil {
		return err
	}
	done, err := export.Write(o.Options, working(r))
	r.close()
	if errors.Is(err, model.ErrNoGGUFAdapter) {
		return hint(err, "--format %s writes the model with it merged, --format %s the adapter", export.FormatMergedGGUF, export.FormatPEFT)
	}
	if err != nil {
		return err
	}
	v := done.Checked
	if o.json {
		return printJSON(o.io.out, struct {
			V          int     `json:"v"`
			Path       string  `json:"path"`
			Parameters int     `json:"parameters"`
			Difference float64 `json:"max_logit_difference"`
			Scale      float64 `json:"max_logit"`
			Tokens     int     `json:"tokens"`
			Top1       float64 `json:"top1"`
			KL         float64 `json:"kl"`
			TextTokens int     `json:"kl_tokens"`
			Type       string  `json:"type"`
			Modelfile  string  `json:"modelfile"`
			Card       string  `json:"card"`
		}{1, done.Path, done.Parameters, v.Difference, v.Scale, v.Tokens, v.Top1, v.KL, v.TextTokens, done.Type, done.Modelfile, done.Card})
	}
	r.note("read back: " + readBack(done))
	if v.TextTokens > 0 {
		r.note(fmt.Sprintf("added error: KL %s nats per token, on a text of %d tokens", short(v.KL), v.TextTokens))
	}
	if done.Card != "" {
		r.note("model card: " + done.Card)
	}
	if done.Modelfile != "" {
		r.note("for Ollama: ollama create NAME -f " + done.Modelfile)
	}
	_, err = fmt.Fprintln(o.io.out, done.Path)
	return err
}

// readBack says in words how near to the original the export is.
func readBack(done export.Result) string {
	v := done.Checked
	if done.Scores {
		return fmt.Sprintf("the largest difference of a score is %s, of scores up to %s, after %d tokens", short(v.Difference), short(v.Scale), v.Tokens)
	}
	return fmt.Sprintf("the largest difference of a logit is %s, of logits up to %s, and the top token is the same after %.0f of %d tokens",
		short(v.Difference), short(v.Scale), v.Top1*float64(v.Tokens), v.Tokens)
}
