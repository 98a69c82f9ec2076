package main

import (
	"fmt"

	"align/align"

	"github.com/spf13/cobra"
)

type pullOptions struct {
	align.PullOptions
	output
	io *streams
}

func newPullCommand(io *streams) *cobra.Command {
	o := &pullOptions{io: io}
	c := &cobra.Command{
		Use:   "pull OWNER/NAME",
		Short: "Fetch a model into the local Hugging Face cache",
		Long: `pull fetches a model from the Hugging Face hub, or the one that HF_ENDPOINT
names, into the local cache, where --model OWNER/NAME finds it. It is the only
command that uses the network.

Safetensors, GGUF, JSON and tokenizer files are fetched, pickled ones never.
What was cut short goes on where it stopped, and every file is held to its hash.
For a gated model set HF_TOKEN, or keep the token in a file of mode 0600 where
huggingface_hub has it; it is sent to the hub alone. A file that others can read
is not used.`,
		Example: `  align pull meta-llama/Llama-3.2-1B-Instruct
  align pull org/name --revision v1.0`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUse(c, fmt.Errorf("want one model OWNER/NAME, got %d arguments", len(args)))
			}
			o.Name = args[0]
			return runPull(c, o)
		},
	}
	c.Flags().StringVar(&o.Revision, "revision", "main", "`branch`, tag or commit")
	addOutputFlags(c, &o.output, "print the result as one JSON object")
	return c
}

func runPull(c *cobra.Command, o *pullOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet})
	done, err := align.Pull(c.Context(), o.PullOptions, environment(r))
	r.close()
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.io.out, struct {
			V       int      `json:"v"`
			Path    string   `json:"path"`
			Commit  string   `json:"commit"`
			Files   []string `json:"files"`
			Bytes   int64    `json:"bytes"`
			Fetched int64    `json:"fetched"`
		}{1, done.Path, done.Commit, done.Files, done.Bytes, done.Fetched})
	}
	_, err = fmt.Fprintln(o.io.out, done.Path)
	return err
}
