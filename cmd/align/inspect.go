package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"align/model"

	"github.com/spf13/cobra"
)

type inspectOptions struct {
	path string
	json bool
	io   *streams
}

func newInspectCommand(io *streams) *cobra.Command {
	o := &inspectOptions{io: io}
	c := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Look into a model, an adapter or a run",
		Long: `inspect tells what a path is and what is in it.

Of a model folder: dimensions, parameters, number types, rotary embedding and
special tokens. Of an adapter: rank, scale and targets. Of a run or a
checkpoint: method, step, lineage; the hashes of all files are verified, and
checkpoints that were passed over are named with the reason.`,
		Example: `  align inspect models/llama
  align inspect runs/dpo-001
  align inspect models/llama --json`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUse(c, fmt.Errorf("want one path to inspect, got %d", len(args)))
			}
			o.path = args[0]
			return runInspect(o)
		},
	}
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return c
}

// fact is one line of what inspect finds, with a name for people and for JSON.
type fact struct {
	name  string
	value any
}

func runInspect(o *inspectOptions) error {
	facts, err := inspect(o.path)
	if err != nil {
		return err
	}
	if o.json {
		return printFactsJSON(o.io.out, facts)
	}
	return printFacts(o.io, facts)
}

// inspect recognises what path is by what lies in it.
func inspect(path string) ([]fact, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("inspect: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("inspect: %s is a file: want the folder of a model, an adapter or a run", path)
	case holds(path, "checkpoints") || holds(path, "MANIFEST.json"):
		return inspectRun(path)
	case holds(path, model.AdapterConfigFile):
		return inspectAdapter(path)
	case holds(path, "config.json"):
		return inspectModel(path)
	}
	return nil, hint(fmt.Errorf("inspect: %s is no model, adapter or run", path),
		"a model has config.json, an adapter %s, a run the folder checkpoints", model.AdapterConfigFile)
}

func holds(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return !errors.Is(err, os.ErrNotExist)
}

// nameWidth fits the longest name of a fact.
const nameWidth = 18

// printFacts prints a line each; lists one item a line.
func printFacts(io *streams, facts []fact) error {
	s := io.outStyle()
	var b strings.Builder
	for _, f := range facts {
		name := s.title(fmt.Sprintf("%-*s", nameWidth, strings.ReplaceAll(f.name, "_", " ")))
		switch v := f.value.(type) {
		case []string:
			for _, item := range v {
				fmt.Fprintf(&b, "%s %s\n", name, item)
				name = strings.Repeat(" ", nameWidth)
			}
		case float64:
			fmt.Fprintf(&b, "%s %s\n", name, short(v))
		default:
			fmt.Fprintf(&b, "%s %v\n", name, v)
		}
	}
	_, err := fmt.Fprint(io.out, b.String())
	return err
}
