package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"align/align/rounds"
	"align/datasets"
	"align/internal/basemodel"
	"align/internal/runfolder"
	"align/internal/train"
	"align/model"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type inspectOptions struct {
	path string
	// mixture are the files of a mixture with their weights, in place of path.
	mixture []datasets.Source
	named   []string // by --data
	data    dataOptions
	output
	io *streams
}

func newInspectCommand(io *streams) *cobra.Command {
	o := &inspectOptions{io: io}
	c := &cobra.Command{
		Use:   "inspect PATH [PATH...]",
		Short: "Look into a data file, a model, an adapter or a run",
		Long: `inspect tells what a path is and what is in it.

Of a data file, by the tokenizer of --model: its format, how many records are
kept and which are dropped and why, lengths, and the first records as tokens
with what is trained on. It is read as align sft or align dpo would read it.
Several files are a mixture, with weights as in training (a.jsonl:0.7
b.jsonl:0.3): each file's share and passes in an epoch are told too.

Of a model, a folder, a .gguf file, ollama:NAME or OWNER/NAME: dimensions, parameters, number types, rotary embedding and
special tokens. Of an adapter: rank, scale and targets. Of a run or a
checkpoint: method, step, lineage; the hashes of all files are verified, and
checkpoints that were passed over are named with the reason.`,
		Example: `  align inspect prefs.jsonl --model models/llama
  align inspect prefs.jsonl --model models/llama --preset llama3
  align inspect models/llama
  align inspect runs/dpo-001 --json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.take(args); err != nil {
				return wrongUse(c, err)
			}
			if len(o.mixture) > 0 {
				if err := o.data.check(); err != nil {
					return wrongUse(c, err)
				}
				return inspectMixture(c.Context(), o)
			}
			if isData(o.path) {
				if err := o.data.check(); err != nil {
					return wrongUse(c, err)
				}
			}
			if err := o.checkDataFlags(c.Flags()); err != nil {
				return wrongUse(c, err)
			}
			return runInspect(c.Context(), o)
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&o.named, "data", nil, "`file` of data, as an argument; the flag may be repeated (also --pairs)")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "pairs" {
			name = "data"
		}
		return pflag.NormalizedName(flagName(name))
	})
	flags.StringVar(&o.data.model, "model", "", "`name` of the model, or its tokenizer, for a data file")
	flags.StringVar(&o.data.template, "template", "auto", plainHelp("template"))
	flags.StringVar(&o.data.mapping, "map", "", plainHelp("map"))
	flags.IntVar(&o.data.maxLength, "max-length", 0, plainHelp("max_length"))
	flags.StringVar(&o.data.overlong, "overlong", "drop", plainHelp("overlong"))
	flags.StringVar(&o.data.badRecords, "bad-records", "skip", plainHelp("bad_records"))
	flags.StringVar(&o.data.lossOn, "loss-on", datasets.LossOnAssistant, plainHelp("loss_on"))
	flags.StringVar(&o.data.preset, "preset", "", "show what a preset of align dpo leaves out of the loss of pairs: `name`, llama3 or zephyr")
	flags.IntVar(&o.data.show, "show", 3, "first records that are drawn as tokens")
	addOutputFlags(c, &o.output, "print one JSON object per path")
	return c
}

// checkDataFlags refuses flags that say how data is read where what is inspected
// is none. A path that is not there is told as such.
func (o *inspectOptions) checkDataFlags(flags *pflag.FlagSet) error {
	if _, err := os.Stat(o.path); err != nil || isData(o.path) {
		return nil
	}
	var errs []error
	for _, name := range []string{"model", "template", "map", "max-length", "overlong", "bad-records", "loss-on", "preset", "show"} {
		if flags.Changed(name) {
			errs = append(errs, fmt.Errorf("--%s is of a data file, %s is none", name, o.path))
		}
	}
	return errors.Join(errs...)
}

// fact is one line of what inspect finds, with a name for people and for JSON.
type fact struct {
	name  string
	value any
}

// isData says whether path is a file other than a model.
func isData(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && !model.IsGGUF(path)
}

func runInspect(ctx context.Context, o *inspectOptions) error {
	if info, err := os.Stat(o.path); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return fmt.Errorf("inspect: %s is no regular file, and what is looked at is read more than once: write it to a file", o.path)
	}
	if isData(o.path) {
		return runInspectData(ctx, o)
	}
	facts, err := inspect(o.path)
	if err != nil {
		return err
	}
	if o.json {
		return printFactsJSON(o.io.out, facts)
	}
	return printFacts(o.io, facts)
}

func runInspectData(ctx context.Context, o *inspectOptions) error {
	o.data.model = o.io.modelOr(o.data.model, o.quiet)
	d, err := inspectData(ctx, o.path, o.data)
	if err != nil {
		return notData(o.path, err)
	}
	if o.json {
		return printFactsJSON(o.io.out, d.facts())
	}
	return d.print(o)
}

func (d *dataset) print(o *inspectOptions) error {
	if err := printFacts(o.io, d.facts()); err != nil {
		return err
	}
	return d.drawRecords(o.io.out, o.io.outStyle(), o.data.show)
}

// inspect recognises what path is by what lies in it.
func inspect(path string) ([]fact, error) {
	path, err := inspected(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("inspect: %w", err)
	case model.IsGGUF(path):
		return inspectGGUF(path)
	case holds(path, "checkpoints") || holds(path, "MANIFEST.json"):
		return inspectRun(path)
	case holds(path, rounds.LineageFile):
		return inspectRounds(path)
	case holds(path, model.AdapterConfigFile):
		return inspectAdapter(path)
	case holds(path, "config.json"):
		return inspectModel(path)
	}
	return nil, hint(fmt.Errorf("inspect: %s is no model, adapter or run", path), "%s", insteadOf(path))
}

// dataName is a file name of records; .json may be anything.
var dataName = regexp.MustCompile(`(?i)\.(jsonl|ndjson|csv|tsv|parquet)(\.gz|\.zst)?$`)

// insteadOf is what to inspect in a folder's place, or what a folder would need.
func insteadOf(dir string) string {
	run := filepath.Dir(filepath.Clean(dir))
	if filepath.Base(filepath.Clean(dir)) == "checkpoints" && (holds(run, runfolder.SettingsFile) || holds(run, train.MetricsFile)) {
		return run + " is the run that the checkpoints are of"
	}
	files, err := os.ReadDir(dir)
	i := slices.IndexFunc(files, func(f os.DirEntry) bool { return !f.IsDir() && dataName.MatchString(f.Name()) })
	if err == nil && i >= 0 {
		return "name the files of data that are in it, as " + filepath.Join(dir, files[i].Name())
	}
	return "a model has config.json, an adapter " + model.AdapterConfigFile + ", a run the folder checkpoints"
}

// notData is err, or what a file is that holds no records.
func notData(path string, err error) error {
	switch filepath.Ext(path) {
	case ".safetensors", ".bin", ".pt", ".pth":
		return hint(fmt.Errorf("inspect: %s are weights alone", path), "name the folder that they are in, %s", filepath.Dir(path))
	case ".yaml", ".yml":
		if method := settingsMethod(path); method != "" {
			return hint(fmt.Errorf("inspect: %s is no data but the settings of align %s", path, method), "align %s --config %s takes them", method, path)
		}
	}
	return err
}

// inspected is the path that was named: one that exists, or that of a model.
func inspected(name string) (string, error) {
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	return basemodel.Resolve(name)
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
