package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"align/dpo"
	"align/internal/config"
	"align/internal/foreign"
	"align/ppo"
	"align/reward"
	"align/sft"

	"github.com/spf13/cobra"
)

type importOptions struct {
	path, method string
	quiet        bool
	io           *streams
}

func newImportConfigCommand(io *streams) *cobra.Command {
	o := &importOptions{io: io}
	c := &cobra.Command{
		Use:   "import-config FILE",
		Short: "Turn a settings file of TRL, axolotl or LLaMA-Factory into ours",
		Long: `import-config reads a YAML or JSON file of TRL's command line (SFTConfig,
DPOConfig, RewardConfig, GRPOConfig or RLOOConfig with model and script
arguments), of axolotl or of LLaMA-Factory, and prints the settings file of align
that trains the same way as far as that goes. A line above each setting names the key that it comes from, or
says that it is the tool's default where that differs from ours.

Every key that is not carried over is named on stderr with its line and the
reason. A value that cannot be right is an error, and nothing is printed.`,
		Example: `  align import-config dpo_trl.yaml > dpo.yaml
  align import-config axolotl.yml > sft.yaml
  align import-config args.json --method sft > sft.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUse(c, fmt.Errorf("want one settings file, got %d arguments", len(args)))
			}
			if o.method != "" && !slices.Contains(importable, o.method) {
				return wrongUse(c, fmt.Errorf("--method: want sft, dpo, reward or ppo, got %q", o.method))
			}
			o.path = args[0]
			return runImportConfig(o)
		},
	}
	c.Flags().StringVar(&o.method, "method", "", "`name` of the method, sft, dpo, reward or ppo; without it, what the file's keys tell")
	addQuietFlag(c, &o.quiet)
	return c
}

// importable are the methods that other tools' files are of.
var importable = []string{"sft", "dpo", "reward", "ppo"}

func runImportConfig(o *importOptions) error {
	data, err := os.ReadFile(o.path)
	if err != nil {
		return err
	}
	if method := ownMethod(o.path); method != "" {
		return hint(fmt.Errorf("%s has the settings of align %s already", o.path, method), "align %s --config %s takes them", method, o.path)
	}
	c, err := foreign.Convert(o.path, data, o.method)
	if err != nil {
		return err
	}
	fields, checked := importTarget(c.Method)
	set, err := applyImport(c, fields)
	if err != nil {
		return err
	}
	if err := checkImport(fields, checked); err != nil {
		return fmt.Errorf("%s: %w", o.path, err)
	}
	if !o.quiet {
		o.printLeft(c)
	}
	if _, err := fmt.Fprintf(o.io.out, "# Settings of align %s, from %s of %s.\n\n", c.Method, o.path, c.Tool); err != nil {
		return err
	}
	return config.Write(o.io.out, inHelpOrder(set), func(key string) string { return origin(c, key) })
}

// ownKeys are settings of ours that no other tool names so.
var ownKeys = []string{"model", "data", "pairs", "prompts", "out"}

// ownMethod is the method whose settings file this is already; "" where it is none,
// or of keys alone that other tools have too. A pipe can be read once.
func ownMethod(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	method := settingsMethod(path)
	if method == "" {
		return ""
	}
	keys, err := config.Read(path, settingsOfMethod(method))
	if err != nil || !slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(ownKeys, key) }) {
		return ""
	}
	return method
}

// printLeft names the keys that are not carried over.
func (o *importOptions) printLeft(c *foreign.Config) {
	for _, left := range c.Left {
		place := o.path
		if left.Line > 0 { // none: the file does not have the key
			place = fmt.Sprintf("%s:%d", o.path, left.Line)
		}
		fmt.Fprintf(o.io.err, "%s: %s: %s\n", place, left.Key, left.Reason)
	}
}

// importTarget is the config that a file is turned into, at its defaults.
func importTarget(method string) ([]config.Field, validator) {
	switch method {
	case "sft":
		c := sft.DefaultConfig()
		return config.Fields(&c), &c
	case "reward":
		c := reward.DefaultConfig()
		return config.Fields(&c), &c
	case "ppo":
		c := ppo.DefaultConfig()
		return config.Fields(&c), &c
	}
	c := dpo.DefaultConfig()
	return config.Fields(&c), &c
}

// applyImport sets the fields and returns those that were set. Values that the
// method has no setting for are left.
func applyImport(c *foreign.Config, fields []config.Field) (set []config.Field, err error) {
	var errs []error
	for _, v := range c.Values {
		i := slices.IndexFunc(fields, func(f config.Field) bool { return f.Key == v.Key })
		switch {
		case i >= 0:
			if err := fields[i].Set(v.Text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", cmp.Or(v.From, v.Key), err))
			}
			set = append(set, fields[i])
		case v.From != "":
			c.Left = append(c.Left, foreign.Left{Key: v.From, Line: v.Line, Reason: fmt.Sprintf("align %s has no %s", c.Method, v.Key)})
		}
	}
	return set, errors.Join(errs...)
}

// checkImport checks the values; a file that names no data on this machine, or
// no reward, is not at fault.
func checkImport(fields []config.Field, checked validator) error {
	rewarded := slices.ContainsFunc(fields, func(f config.Field) bool { return f.Key == "reward" && f.String() != "" })
	for _, f := range fields {
		later := ""
		switch {
		case f.IsList() || f.Key == "prompts":
			later = "later.jsonl"
		case f.Key == "scorer" && !rewarded:
			later = "length"
		}
		if later != "" && f.String() == "" {
			if err := f.Set(later); err != nil {
				return err
			}
			defer func() { _ = f.Set("") }() // text always can be set
		}
	}
	return checked.Validate()
}

// origin is the line above a setting.
func origin(c *foreign.Config, key string) string {
	i := slices.IndexFunc(c.Values, func(v foreign.Value) bool { return v.Key == key })
	switch v := c.Values[i]; {
	case v.Line > 0:
		return fmt.Sprintf("%s, line %d", v.From, v.Line)
	case v.From != "":
		return fmt.Sprintf("%s, on by default in %s", v.From, c.Tool)
	}
	return fmt.Sprintf("%s's default; the file does not say", c.Tool)
}
