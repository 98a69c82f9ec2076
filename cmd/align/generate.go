package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"align/align"
	"align/datasets"
	"align/internal/records"
	"align/internal/rollout"
	"align/model"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

type generateOptions struct {
	align.GenerateOptions
	prompt, prompts, system string
	mapping                 string
	columns                 datasets.Mapping // that mapping spells
	checkpoint              string
	templated               bool // a template was named
	output
	io *streams
}

func newGenerateCommand(io *streams) *cobra.Command {
	o := &generateOptions{GenerateOptions: align.DefaultGenerateOptions(), io: io}
	c := &cobra.Command{
		Use:   "generate [--model DIR] --prompt TEXT",
		Short: "Answer prompts with a model",
		Long: `generate answers prompts with a model, and an adapter on it.

A prompt is one text (--prompt, or - for stdin), or a file of lines of JSON
(--prompts), each {"prompt": "..."} or {"messages": [...]}. The template of the
model makes a conversation of it, as in training; --raw feeds the text as it is.

The text of the answers goes to stdout; with --json one object per answer, with
its ids, log-probabilities and the reason why it ended. A log-probability is that
of the distribution that was drawn from: with temperature and repetition penalty,
before anything is cut off; at temperatures 0 and 1 without a penalty it is what
align score gives. The same seed gives the same answers, whatever is generated
beside them.`,
		Example: `  align generate --model models/llama --prompt "Tell me a story."
  align generate --model models/llama --adapter runs/dpo-001 --prompt - < prompt.txt
  align generate --model models/llama --prompts prompts.jsonl --n 4 --json > answers.jsonl`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			o.templated = c.Flags().Changed("template")
			if err := o.check(); err != nil {
				return wrongUse(c, err)
			}
			return runGenerate(c.Context(), o)
		},
	}
	o.addFlags(c)
	return c
}

func (o *generateOptions) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Model, "model", "", plainHelp("model"))
	addQuantizeFlag(c, &o.Quantize)
	f.StringVar(&o.Adapter, "adapter", "", "`folder` of an adapter, run or checkpoint; none is the model alone")
	addCheckpointFlag(c, &o.checkpoint)
	f.StringVar(&o.prompt, "prompt", "", "`text` to answer; - reads it from stdin")
	f.StringVar(&o.prompts, "prompts", "", "`file` of prompts: JSON, JSONL, CSV, TSV or Parquet, also .gz and .zst")
	f.StringVar(&o.mapping, "map", "", plainHelp("map"))
	f.StringVar(&o.system, "system", "", "`text` of a system message before every prompt")
	f.StringVar(&o.Template, "template", "auto", plainHelp("template"))
	f.BoolVar(&o.Raw, "raw", false, "feed the text as it is, without a template")
	f.IntVar(&o.MaxNew, "max-new", o.MaxNew, "tokens of an answer at most, 1 or more")
	f.IntVar(&o.Samples, "n", o.Samples, "answers to each prompt, 1 or more")
	addSamplingFlags(c, &o.Sampling)
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of the draws")
	f.StringArrayVar(&o.Stop, "stop", nil, "`text` that ends an answer; may be repeated")
	addComputeFlags(c, &o.Compute)
	addOutputFlags(c, &o.output, "print one JSON object per answer")
}

// addSamplingFlags adds how tokens are drawn.
func addSamplingFlags(c *cobra.Command, o *rollout.Sampling) {
	f := c.Flags()
	f.Float64Var(&o.Temperature, "temperature", o.Temperature, "divides the logits; 0 takes the likeliest token")
	f.IntVar(&o.TopK, "top-k", o.TopK, "draw from the K likeliest tokens; 0 is off")
	f.Float64Var(&o.TopP, "top-p", o.TopP, "draw from the likeliest tokens that reach this probability, above 0 to 1")
	f.Float64Var(&o.MinP, "min-p", o.MinP, "draw from tokens of at least this share of the likeliest one's probability; 0 is off")
	f.Float64Var(&o.RepetitionPenalty, "repetition-penalty", o.RepetitionPenalty, "lowers the logits of tokens that occurred; 1 is off")
}

func (o *generateOptions) check() error {
	var errs []error
	var wrongMap error
	o.Model = o.io.modelOr(o.Model, o.quiet, o.Adapter)
	if o.columns, wrongMap = datasets.ParseMapping(o.mapping); wrongMap != nil {
		errs = append(errs, wrongMap)
	}
	if (o.prompt == "") == (o.prompts == "") {
		errs = append(errs, errors.New("want either --prompt or --prompts"))
	}
	if o.MaxNew < 1 {
		errs = append(errs, fmt.Errorf("--max-new must be at least 1, got %d", o.MaxNew))
	}
	if o.Samples < 1 || o.Samples > rollout.MaxSamples {
		errs = append(errs, fmt.Errorf("--n must lie in [1, %d], got %d", rollout.MaxSamples, o.Samples))
	}
	if o.Raw && (o.system != "" || o.templated) {
		errs = append(errs, errors.New("--raw feeds the text as it is: leave --system and --template out"))
	}
	if slices.Contains(o.Stop, "") {
		errs = append(errs, errors.New("--stop is empty: that ends every answer before it begins"))
	}
	return errors.Join(append(errs, model.CheckQuantize(o.Quantize), flagErrors(o.Sampling.Validate()))...)
}

func runGenerate(ctx context.Context, o *generateOptions) error {
	prompts, err := o.read()
	if err != nil {
		return err
	}
	r := newReporter(o.io, output{quiet: o.quiet, json: o.json})
	defer r.close()
	if err := chosen(o.checkpoint, r.note, &o.Adapter); err != nil {
		return err
	}
	out := bufio.NewWriter(o.io.out)
	p := &answerPrinter{out: out, json: o.json, many: len(prompts)*o.Samples > 1}
	var stream func(string)
	if !p.json && !p.many {
		stream = func(text string) {
			p.streamed = true
			fmt.Fprint(out, visible(text))
			out.Flush()
		}
	}
	return align.Generate(ctx, o.GenerateOptions, prompts, environment(r), stream, func(a align.Answer) error {
		// Each answer when it is there: what is interrupted keeps those, and a full
		// disk is told at the first.
		return errors.Join(p.print(a), out.Flush())
	})
}

// read is the conversations to answer.
func (o *generateOptions) read() ([][]datasets.Message, error) {
	if o.prompts == "" {
		text := o.prompt
		if text == "-" {
			data, err := io.ReadAll(o.io.in)
			if err != nil {
				return nil, fmt.Errorf("stdin: %w", err)
			}
			text = string(data)
		}
		c := o.conversation(text)
		return [][]datasets.Message{c}, o.checkPrompt("the prompt", c)
	}
	return o.readFile()
}

func (o *generateOptions) conversation(text string) []datasets.Message {
	return o.withSystem([]datasets.Message{{Role: "user", Content: text}})
}

// readFile reads prompts as ppo and rejection do; each record may have its own
// layout.
func (o *generateOptions) readFile() (list [][]datasets.Message, err error) {
	f, err := records.Open(o.prompts)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for {
		r, err := f.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		c, err := o.promptOf(r)
		if err == nil {
			err = o.checkPrompt(r.Place.String(), c)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, o.withSystem(c))
	}
}

// checkPrompt refuses a message that says nothing, as training does; a text that is
// fed as it is may.
func (o *generateOptions) checkPrompt(place string, c []datasets.Message) error {
	if last := c[len(c)-1]; !o.Raw && last.ContentJSON == nil && strings.TrimSpace(last.Content) == "" {
		return fmt.Errorf("%s is empty", place)
	}
	return nil
}

// promptOf is a record's conversation; with --raw a text is that text.
func (o *generateOptions) promptOf(r records.Record) ([]datasets.Message, error) {
	var text string
	name := "prompt"
	if theirs, ok := o.columns[name]; ok {
		name = theirs
	}
	if v, ok := r.Get(name); ok && o.Raw && json.Unmarshal(v, &text) == nil {
		return o.conversation(text), nil
	}
	return datasets.PromptOf(r, o.columns)
}

// withSystem puts the message of --system first where there is none.
func (o *generateOptions) withSystem(c []datasets.Message) []datasets.Message {
	if o.system == "" || c[0].Role == "system" {
		return c
	}
	return append([]datasets.Message{{Role: "system", Content: o.system}}, c...)
}

// answerPrinter prints answers as they end.
type answerPrinter struct {
	out            io.Writer
	json           bool
	many, streamed bool
}

func (p *answerPrinter) print(a align.Answer) error {
	switch {
	case p.json:
		return printJSON(p.out, struct {
			V int `json:"v"`
			align.Answer
		}{1, a})
	case p.streamed:
		_, err := fmt.Fprintln(p.out)
		return err
	case p.many:
		_, err := fmt.Fprintf(p.out, "--- prompt %d, answer %d (%s)\n%s\n", a.Prompt+1, a.Sample+1, a.Finish, visible(a.Text))
		return err
	}
	_, err := fmt.Fprintln(p.out, visible(a.Text))
	return err
}

// visible shows control characters instead of sending them: a model's text, or
// the name of a column, must not move a terminal's cursor or colours.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
