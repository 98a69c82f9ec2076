package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sectionKey is the annotation that names a flag's section of the help text.
const sectionKey = "align_section"

// printHelp prints what a command does, and how it is used.
func printHelp(io *streams, c *cobra.Command) {
	text := c.Long
	if text == "" {
		text = c.Short
	}
	fmt.Fprintf(io.out, "%s\n\n", strings.TrimSpace(text))
	if c.Runnable() || c.HasSubCommands() {
		_ = printUsage(io, c) // stdout is all it could fail on
	}
}

// printUsage prints use line, commands, examples and flags by section.
func printUsage(io *streams, c *cobra.Command) error {
	s := io.outStyle()
	fmt.Fprintf(io.out, "%s\n  %s\n", s.title("Usage"), c.UseLine())
	printCommands(io, c)
	if c.Example != "" {
		fmt.Fprintf(io.out, "\n%s\n%s\n", s.title("Examples"), c.Example)
	}
	sections, order := flagSections(c)
	for _, name := range order {
		fmt.Fprintf(io.out, "\n%s\n%s", s.title(name), sections[name].FlagUsagesWrapped(io.width))
	}
	_, err := fmt.Fprintln(io.out)
	return err
}

func printCommands(io *streams, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	fmt.Fprintf(io.out, "\n%s\n", io.outStyle().title("Commands"))
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(io.out, "  %-13s %s\n", sub.Name(), sub.Short)
		}
	}
	if c.HasParent() {
		fmt.Fprintf(io.out, "\n%s COMMAND --help tells more.\n", c.CommandPath())
		return
	}
	fmt.Fprint(io.out, "\nalign help COMMAND tells more; align help losses lists the losses of sft and dpo, align help environment the environment variables.\n")
}

// newHelpCommand is align help COMMAND. Cobra's own answers an unknown name with the
// list of commands, as if that were what was asked for.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Tell more of a command", Hidden: true,
		Long:    "help tells what a command does, and how it is used, as align COMMAND --help does.",
		Example: "  align help dpo\n  align help losses",
		RunE: func(c *cobra.Command, args []string) error {
			target, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return wrongUse(c, hint(unknownCommand(target, rest[0]), "align help lists the commands"))
			}
			if foreignNames[target.Name()] != "" {
				return target.RunE(target, nil)
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// strictCompletion has align completion refuse a shell that it does not know.
func strictCompletion(root *cobra.Command) {
	c, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return wrongUse(c, unknownCommand(c, args[0]))
	}
}

// flagSections sorts a command's flags into sections, in order of declaration.
func flagSections(c *cobra.Command) (sections map[string]*pflag.FlagSet, order []string) {
	sections = map[string]*pflag.FlagSet{}
	flags := c.Flags()
	flags.SortFlags = false
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "Flags"
		if a := f.Annotations[sectionKey]; len(a) > 0 {
			name = a[0]
		}
		if sections[name] == nil {
			sections[name] = pflag.NewFlagSet(name, pflag.ContinueOnError)
			sections[name].SortFlags = false
			order = append(order, name)
		}
		sections[name].AddFlag(withoutKind(f))
	})
	return sections, order
}

// valueKind is what a help text ends a clause with to name its flag's value where no
// word of it does: (`policy`).
var valueKind = regexp.MustCompile(" \\(`([a-z]+)`\\)")

// withoutKind is a flag whose value is named beside it and not in its text too.
func withoutKind(f *pflag.Flag) *pflag.Flag {
	kind := valueKind.FindStringSubmatch(f.Usage)
	if kind == nil {
		return f
	}
	shown := *f
	shown.Usage = valueKind.ReplaceAllString(f.Usage, "")
	shown.Value = &kindOfValue{f.Value, kind[1]}
	return &shown
}

// kindOfValue is a flag's value under another name of its type.
type kindOfValue struct {
	pflag.Value
	kind string
}

// Type implements pflag.Value.
func (v *kindOfValue) Type() string { return v.kind }

// newEnvironmentTopic is the help topic of `align help environment`.
func newEnvironmentTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "Environment variables",
		Long: `align reads no settings from the environment. These variables say what is drawn,
where caches lie, and which instructions are used:

  NO_COLOR      anything but empty turns colours off (https://no-color.org)
  TERM          "dumb" turns colours off
  ALIGN_CACHE   folder of cached reference log-probabilities and of the files of
                builtin:tiny; without it, align in the user's cache folder
  OLLAMA_MODELS the Ollama store that ollama:NAME is looked up in, else
                ~/.ollama/models
  HF_HUB_CACHE  the Hugging Face cache that OWNER/NAME is looked up in, else hub
                in HF_HOME, or huggingface/hub in XDG_CACHE_HOME or ~/.cache
  HF_ENDPOINT   the hub that align pull asks, else https://huggingface.co
  HF_TOKEN      the token that align pull shows the hub, else what stands in the
                file HF_TOKEN_PATH, or in token beside the cache's hub
  HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
                1, on, yes or true: align pull fetches nothing
  ALIGN_GENERATOR_KEY  the token that the server of --generator is shown
  MLFLOW_TRACKING_TOKEN
                the token that --track mlflow:URL shows that server, else
                MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD
  ALIGN_LIBCUDA NVIDIA's driver library, where the loader does not find it
  ALIGN_CUBLASLT  auto, or the path of cuBLASLt: products on a Hopper or
                Blackwell card by NVIDIA's library instead of our own kernels
  ALIGN_CUDA    mma or, on compute capability 9.0, wgmma: the instruction that our
                own products and attention on a card run on, to compare or to
                find a fault; tma: wgmma with the sides of products fetched by
                the card's copy engine, to compare; else mma or wgmma
  ALIGN_CUDA_PROOF  off: kernels on a card do not prove themselves before they
                are used, to find a fault
  ALIGN_CPU     generic, avx2, avx512, avx512bf16, amx or (on Arm) neon: a level
                that the processor has, to compare or to find a fault; else the
                fastest`,
	}
}
