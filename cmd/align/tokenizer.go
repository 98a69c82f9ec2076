package main

import (
	"errors"
	"fmt"
	"strings"

	"align/align"

	"github.com/spf13/cobra"
)

type tokenizerOptions struct {
	align.TokenizerOptions
	output
	io *streams
}

func newTokenizerCommand(io *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "tokenizer train",
		Short: "Make a tokenizer",
		Long: `tokenizer train learns a vocabulary from texts, for a model made from nothing by
align pretrain.`,
		Example: `  align tokenizer train --data texts.jsonl --vocab-size 4096 --out tokenizer`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return wrongUse(c, fmt.Errorf("unknown command %q, want train", strings.Join(args, " ")))
		},
	}
	c.AddCommand(newTokenizerTrainCommand(io))
	return c
}

func newTokenizerTrainCommand(io *streams) *cobra.Command {
	o := &tokenizerOptions{io: io}
	c := &cobra.Command{
		Use:   "train --data FILE --vocab-size N --out DIR",
		Short: "Learn a vocabulary from texts",
		Long: `train learns a byte-level BPE vocabulary with Llama 3's splitter and special
tokens: all 256 below a vocabulary's own, or with fewer than 8192 tokens the
eight of them that have a use. Every text in a record counts, whatever its key.
The same texts give the same vocabulary, in any order.

The folder holds tokenizer.json and tokenizer_config.json with Llama 3's chat
template, as Hugging Face's Transformers and every command here read them.`,
		Example: `  align tokenizer train --data texts.jsonl --vocab-size 4096 --out tokenizer
  align tokenizer train --data a.jsonl --data b.parquet --vocab-size 32000 --out tokenizer`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return wrongUse(c, err)
			}
			return runTokenizerTrain(c, o)
		},
	}
	c.Flags().StringArrayVar(&o.Data, "data", nil, "`file` of texts: JSON, JSONL, CSV, TSV or Parquet, also .gz and .zst; may be repeated")
	c.Flags().IntVar(&o.VocabSize, "vocab-size", 0, "number of tokens, special ones among them, 264 or more")
	c.Flags().StringVar(&o.Out, "out", "", "new `folder` to write")
	addOutputFlags(c, &o.output, "print the result as one JSON object")
	return c
}

func (o *tokenizerOptions) check() error {
	return flagErrors(o.Validate())
}

// flagErrors turns the lines of an error that begin with a key into those of
// its flag.
func flagErrors(err error) error {
	if err == nil {
		return nil
	}
	var errs []error
	for line := range strings.Lines(err.Error()) {
		key, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		errs = append(errs, errors.New("--"+flagName(key)+" "+rest))
	}
	return errors.Join(errs...)
}

func runTokenizerTrain(c *cobra.Command, o *tokenizerOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet})
	defer discardOnSignal(leaver(r))()
	done, err := align.TrainTokenizer(c.Context(), o.TokenizerOptions, environment(r))
	r.close()
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.io.out, struct {
			V       int    `json:"v"`
			Path    string `json:"path"`
			Tokens  int    `json:"tokens"`
			Special int    `json:"special"`
			Texts   int64  `json:"texts"`
			Bytes   int64  `json:"bytes"`
		}{1, done.Path, done.Tokens, done.Special, done.Texts, done.Bytes})
	}
	r.note(fmt.Sprintf("%d tokens, %d of them special, from %d texts of %d bytes", done.Tokens, done.Special, done.Texts, done.Bytes))
	_, err = fmt.Fprintln(o.io.out, done.Path)
	return err
}
