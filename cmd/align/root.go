package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"align/align"
	"align/internal/config"
	"align/internal/nearest"
	"align/model"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRootCommand(io *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "align COMMAND",
		Short: "Fine-tune and align Llama models",
		Long: `align fine-tunes and aligns Llama models on preference pairs and examples.

It is one program without Python, CUDA toolkit or telemetry. Models and data are
folders and files on this machine; but for align pull and a --track that names a
server of yours, nothing is fetched and nothing is sent.`,
		Example: `  align dpo --model DIR --pairs prefs.jsonl   # the main job; without --model, on a small one inside
  align inspect prefs.jsonl --model DIR       # what is in the data, as tokens with their loss mask
  align init dpo > dpo.yaml                   # every setting, with a line on each
  align tokenize --model DIR "Hello"          # the token ids of a text`,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return runRoot(io, c, args) },
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(func(c *cobra.Command) error { return printUsage(io, c) })
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { printHelp(io, c) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(commands(io)...)
	root.AddCommand(foreignCommands()...)
	root.SetHelpCommand(newHelpCommand(root))
	root.InitDefaultCompletionCmd()
	strictCompletion(root)
	root.Flags().Bool("version", false, "print the version, as align version does")
	guardValues(root)
	return root
}

// commands lists the commands in the order of a first session.
func commands(io *streams) []*cobra.Command {
	cobra.EnableCommandSorting = false
	return []*cobra.Command{
		newInspectCommand(io),
		newSFTCommand(io, align.SFT),
		newDPOCommand(io, align.DPO),
		newRewardCommand(io, align.Reward),
		newRejectionCommand(io),
		newPPOCommand(io, align.PPO),
		newRoundsCommand(io),
		newCompareCommand(io),
		newReportCommand(io),
		newAverageCommand(io),
		newTokenizeCommand(io),
		newTokenizerCommand(io),
		newPretrainCommand(io, align.Pretrain),
		newPullCommand(io),
		newInitCommand(io),
		newImportConfigCommand(io),
		newGenerateCommand(io),
		newChatCommand(io),
		newScoreCommand(io),
		newExportCommand(io),
		newMergeCommand(io),
		newPlanCommand(io),
		newBenchCommand(io),
		newDoctorCommand(io),
		newVersionCommand(io),
		newEnvironmentTopic(),
		newLossesTopic(),
	}
}

// runRoot runs where no command was recognised.
func runRoot(io *streams, c *cobra.Command, args []string) error {
	if asked, err := c.Flags().GetBool("version"); err == nil && asked {
		return runVersion(&versionOptions{io: io})
	}
	if len(args) == 0 {
		return c.Help()
	}
	if _, err := os.Stat(args[0]); err == nil {
		return wrongUse(c, hint(fmt.Errorf("%s is no command but a path", args[0]), "align inspect %s tells what is in it", args[0]))
	}
	return wrongUse(c, hint(unknownCommand(c, args[0]), "align --help lists the commands"))
}

// unknownCommand is an error that names the nearest command below c.
func unknownCommand(c *cobra.Command, name string) error {
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if near := nearest.Name(name, names); near != "" {
		return fmt.Errorf("unknown command %q, did you mean %q", name, near)
	}
	return fmt.Errorf("unknown command %q", name)
}

// foreignNames are other tools' names of what we do, with ours.
var foreignNames = map[string]string{
	"kto": "align dpo --loss kto", "orpo": "align dpo --loss orpo", "simpo": "align dpo --loss simpo", "cpo": "align dpo --loss cpo",
	"rm": "align reward", "grpo": "align ppo --algorithm grpo", "rloo": "align ppo --algorithm rloo",
	"sample": "align rejection", "rs": "align rejection", "eval": "align compare or align score", "train": "align sft or align dpo", "preprocess": "align inspect",
	"finetune": "align sft or align dpo", "fine-tune": "align sft or align dpo", "lora": "align sft or align dpo",
	"convert": "align export", "quantize": "align export --format merged-gguf --type q4_k", "fuse": "align merge",
	"run": "align chat or align generate", "infer": "align generate", "predict": "align generate", "download": "align pull",
}

// foreignCommands answer to other tools' names of what we do.
func foreignCommands() (list []*cobra.Command) {
	for name, ours := range foreignNames {
		list = append(list, &cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(c *cobra.Command, _ []string) error {
				return wrongUse(c.Root(), hint(fmt.Errorf("unknown command %q", name), "%s does that", ours))
			},
		})
	}
	return list
}

// wrongUse marks an error as one of usage of the command c.
func wrongUse(c *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err, usage: c.UseLine()}
}

// flagError turns pflag's errors into ours; an unknown flag names the nearest.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		err = unknownFlag(c, unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		err = shortFlag(c, unknown.GetSpecifiedShortnames())
	case errors.As(err, &invalid) && invalid.GetFlag().Name == "resume":
		return wrongUse(c, hint(invalidValue(invalid), "is it --resume --out %s?", invalid.GetValue()))
	case errors.As(err, &invalid):
		err = invalidValue(invalid)
	case errors.As(err, &missing):
		wanted := "a value"
		if f := c.Flags().Lookup(missing.GetSpecifiedName()); f != nil {
			wanted = wantedValue(f.Value)
		}
		err = fmt.Errorf("--%s needs %s", missing.GetSpecifiedName(), wanted)
	}
	return wrongUse(c, hint(err, "%s --help lists the flags", c.CommandPath()))
}

// invalidValue keeps the words of our own values and drops strconv's, which are of
// flags that are on or off.
func invalidValue(invalid *pflag.InvalidValueError) error {
	var number *strconv.NumError
	if errors.As(invalid.Unwrap(), &number) {
		return fmt.Errorf("--%s: want true or false, got %q", invalid.GetFlag().Name, invalid.GetValue())
	}
	return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
}

// shortFlag is of a flag with one dash, as other tools have them; name is what
// stands behind it, up to a "=".
func shortFlag(c *cobra.Command, name string) error {
	name, _, _ = strings.Cut(name, "=")
	if c.Flags().Lookup(name) != nil {
		return fmt.Errorf("unknown flag -%s: flags have two dashes, --%s", name, name)
	}
	return fmt.Errorf("unknown flag -%s: flags have two dashes and whole names", name)
}

// usualFlags are flags that many programs have, with what there is here.
var usualFlags = map[string]string{
	"no-color": "NO_COLOR=1 in the environment turns colours off", "color": "NO_COLOR=1 in the environment turns colours off",
	"verbose": "what is done is told unless --quiet is given", "debug": "what is done is told unless --quiet is given",
	"version": "align --version prints it", "yes": "nothing is asked", "force": "nothing is written over: name a new --out", "overwrite": "nothing is written over: name a new --out",
	"dry-run": "align plan METHOD tells what a run would take, and runs nothing",
}

// usualNames are other programs' names of flags of ours.
var usualNames = map[string]string{
	"output": "out", "output-file": "out", "batch-size": "batch", "max-tokens": "max-new", "lora": "adapter", "num-samples": "n", "samples": "n",
	"quant": "type", "quantization": "type", "outtype": "type", "quantize": "type", "dtype": "type", "outfile": "out",
}

func unknownFlag(c *cobra.Command, name string) error {
	if !c.HasParent() {
		for _, sub := range c.Commands() {
			if f := sub.Flags().Lookup(name); f != nil {
				return fmt.Errorf("unknown flag --%s: flags of a command stand behind it, as align %s --%s", name, sub.Name(), f.Name)
			}
		}
	}
	if ours := usualNames[name]; ours != "" && c.Flags().Lookup(ours) != nil {
		return fmt.Errorf("unknown flag --%s, did you mean --%s", name, ours)
	}
	if advice, ok := usualFlags[name]; ok {
		return fmt.Errorf("unknown flag --%s: %s", name, advice)
	}
	if advice, ok := config.Foreign(strings.ReplaceAll(name, "-", "_")); ok {
		return fmt.Errorf("unknown flag --%s: %s", name, asFlag(c, advice))
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := nearest.Name(name, names); near != "" {
		return fmt.Errorf("unknown flag --%s, did you mean --%s", name, near)
	}
	return fmt.Errorf("unknown flag --%s", name)
}

// settingKey is the key that a text begins with.
var settingKey = regexp.MustCompile(`^[a-z0-9_]+`)

// asFlag has the setting that an advice begins with spelt as the command's flag.
func asFlag(c *cobra.Command, advice string) string {
	rest, is := strings.CutPrefix(advice, "use ")
	key := settingKey.FindString(rest)
	flag := strings.ReplaceAll(key, "_", "-")
	if !is || c.Flags().Lookup(flag) == nil {
		return advice
	}
	return "use --" + flag + rest[len(key):]
}

// noArguments is the Args of commands that take none.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unexpected argument %q: %s takes flags only", args[0], c.CommandPath())
	if resume := c.Flags().Lookup("resume"); resume != nil && resume.Changed {
		return wrongUse(c, hint(err, "is it --resume --out %s?", args[0]))
	}
	if flag := flagOf(c, args[0]); flag != "" {
		err = hint(err, "is it --%s %s?", flag, args[0])
	}
	return wrongUse(c, err)
}

// flagOf is the command's flag that a stray word is mostly meant for: a file of
// data, the folder of an adapter or a model, or a prompt. "" is none.
func flagOf(c *cobra.Command, word string) string {
	names := []string{"prompt"}
	switch info, err := os.Stat(word); {
	case err == nil && !info.IsDir():
		names = []string{"data", "pairs", "prompts"}
	case err == nil && (holds(word, "checkpoints") || holds(word, model.AdapterConfigFile)):
		names = []string{"adapter", "model"}
	case err == nil:
		names = []string{"model"}
	}
	for _, name := range names {
		if flag := c.Flags().Lookup(name); flag != nil {
			return flag.Name
		}
	}
	return ""
}
