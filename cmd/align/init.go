package main

import (
	"fmt"
	"slices"
	"strings"

	"align/align"
	"align/align/rounds"
	"align/dpo"
	"align/internal/config"
	"align/internal/nearest"
	"align/ppo"
	"align/rejection"
	"align/reward"
	"align/sft"

	"github.com/spf13/cobra"
)

type initOptions struct {
	method string
	quiet  bool
	io     *streams
}

func newInitCommand(io *streams) *cobra.Command {
	o := &initOptions{io: io}
	c := &cobra.Command{
		Use:   "init sft|dpo|reward|rejection|ppo|rounds|pretrain",
		Short: "Print a commented settings file",
		Long: `init prints a YAML file with every setting of a method at its default, one
line above each: its effect, its unit, its range. Flags override the file.`,
		Example: `  align init dpo > dpo.yaml
  align init sft > sft.yaml
  align init dpo | grep -v '^#'`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUse(c, fmt.Errorf("want one method of %s, got %d arguments", methodList(), len(args)))
			}
			o.method = args[0]
			return runInit(c, o)
		},
	}
	addQuietFlag(c, &o.quiet)
	return c
}

// defaultFields are the settings of each method at their defaults.
func defaultFields(method string) []config.Field {
	switch method {
	case "sft":
		c := sft.DefaultConfig()
		return config.Fields(&c)
	case "dpo":
		c := dpo.DefaultConfig()
		return config.Fields(&c)
	case "reward":
		c := reward.DefaultConfig()
		return config.Fields(&c)
	case "rejection":
		c := rejection.DefaultConfig()
		return config.Fields(&c)
	case "ppo":
		c := ppo.DefaultConfig()
		return slices.DeleteFunc(config.Fields(&c), func(f config.Field) bool { return slices.Contains(ppo.Unused(), f.Key) })
	case "rounds":
		c := rounds.DefaultConfig()
		return config.Fields(&c)
	case "pretrain":
		c := align.DefaultPretrainConfig()
		return c.Fields()
	}
	return nil
}

// methods lists the methods that have settings.
func methods() []string {
	return []string{"sft", "dpo", "reward", "rejection", "ppo", "rounds", "pretrain"}
}

func methodList() string { return strings.Join(methods(), ", ") }

func runInit(c *cobra.Command, o *initOptions) error {
	fields := defaultFields(o.method)
	if fields == nil {
		err := fmt.Errorf("unknown method %q, want one of %s", o.method, methodList())
		if near := nearest.Name(o.method, methods()); near != "" {
			err = fmt.Errorf("unknown method %q, did you mean %q", o.method, near)
		}
		if words := strings.Fields(foreignNames[o.method]); len(words) > 1 && slices.Contains(methods(), words[1]) {
			err = hint(err, "%s does that, and align init %s prints its settings", strings.Join(words, " "), words[1])
		}
		return wrongUse(c, err)
	}
	_, err := fmt.Fprintf(o.io.out, "# Settings of align %s, at their defaults; flags override this file.\n%s\n", o.method, presetLine(o.method))
	if err != nil {
		return err
	}
	if err := config.Write(o.io.out, inHelpOrder(fields), plainHelp); err != nil || o.method != "rounds" {
		return err
	}
	_, err = fmt.Fprint(o.io.out, roundsSections)
	return err
}

// presetLine tells of the key preset, where the method has presets.
func presetLine(method string) string {
	names := presetNames(method)
	if len(names) == 0 {
		return ""
	}
	return "# preset: NAME, " + strings.Join(names, " or ") + ", sets the values of a recipe for the keys that the file leaves out.\n"
}

// roundsSections ends the settings file of rounds.
const roundsSections = `
# A section per stage has settings of its own command, as align init prints
# them, without those above. One of reward takes the place of the line reward.
# rejection:
#   k: 10
# dpo:
#   steps: 100
`

// inHelpOrder sorts fields as the help text does.
func inHelpOrder(fields []config.Field) []config.Field {
	place := func(f config.Field) int {
		return slices.IndexFunc(settings, func(s setting) bool { return s.key == f.Key })
	}
	return slices.SortedStableFunc(slices.Values(fields), func(a, b config.Field) int { return place(a) - place(b) })
}
