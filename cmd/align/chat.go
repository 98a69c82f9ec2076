package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"align/align"
	"align/datasets"
	"align/model"

	"github.com/spf13/cobra"
)

type chatOptions struct {
	align.ChatOptions
	system     string
	checkpoint string
	quiet      bool
	io         *streams
}

func newChatCommand(io *streams) *cobra.Command {
	d := align.DefaultGenerateOptions()
	o := &chatOptions{io: io, ChatOptions: align.ChatOptions{Sampling: d.Sampling, MaxNew: d.MaxNew, Seed: d.Seed}}
	o.Temperature = 0.7
	c := &cobra.Command{
		Use:   "chat [--model DIR]",
		Short: "Talk with a model",
		Long: `chat is a conversation with a model, and an adapter on it, in the terminal.

Lines that begin with / are commands: /adapter on|off turns the adapter on or
off, so that answers before and after training can be compared; /both answers
the last message with and without it; /system TEXT sets the system message;
/reset forgets the conversation; /quit ends. Ctrl-C stops the answer, not the
program; at the prompt the second one in a row ends it.`,
		Example: `  align chat --model models/llama
  align chat --model models/llama --adapter runs/dpo-001
  echo "Hello" | align chat --model models/llama --quiet`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return wrongUse(c, err)
			}
			return runChat(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Model, "model", "", plainHelp("model"))
	addQuantizeFlag(c, &o.Quantize)
	f.StringVar(&o.Adapter, "adapter", "", "`folder` of an adapter, run or checkpoint; none is the model alone")
	addCheckpointFlag(c, &o.checkpoint)
	f.StringVar(&o.Template, "template", "auto", plainHelp("template"))
	f.StringVar(&o.system, "system", "", "`text` of the system message")
	f.IntVar(&o.MaxNew, "max-new", o.MaxNew, "tokens of an answer at most, 1 or more")
	addSamplingFlags(c, &o.Sampling)
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of the draws")
	addQuietFlag(c, &o.quiet)
	addComputeFlags(c, &o.Compute)
	return c
}

func (o *chatOptions) check() error {
	o.Model = o.io.modelOr(o.Model, o.quiet, o.Adapter)
	var errs []error
	if o.MaxNew < 1 {
		errs = append(errs, fmt.Errorf("--max-new must be at least 1, got %d", o.MaxNew))
	}
	return errors.Join(append(errs, model.CheckQuantize(o.Quantize), flagErrors(o.Sampling.Validate()))...)
}

// session is the state of a conversation in the terminal.
type session struct {
	*chatOptions
	chat    *align.Chat
	history []datasets.Message
	adapter bool
	keys    *interrupts
	// unwritten is why an answer did not reach stdout.
	unwritten error
}

func runChat(ctx context.Context, o *chatOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet})
	if err := chosen(o.checkpoint, r.note, &o.Adapter); err != nil {
		return err
	}
	chat, err := align.OpenChat(o.ChatOptions, environment(r))
	r.close()
	if err != nil {
		return err
	}
	defer chat.Close()
	s := &session{chatOptions: o, chat: chat, adapter: chat.HasAdapter()}
	s.keys = &interrupts{io: o.io, prompt: s.prompt, leave: os.Exit}
	defer s.keys.listen()()
	return s.loop(ctx)
}

// loop reads lines until the end of input or /quit. A person has seen what failed; a
// program is told at the end.
func (s *session) loop(ctx context.Context) error {
	lines := bufio.NewReader(s.io.in)
	failures := 0
	for {
		s.prompt()
		line, err := lines.ReadString('\n')
		done := err != nil // the end of input
		if text := strings.TrimSpace(line); text != "" {
			quit, failed := s.take(ctx, text)
			if failed != nil {
				failures++
				fmt.Fprintf(s.io.err, "%v\n", failed)
			}
			done = done || quit
		}
		switch {
		case s.unwritten != nil:
			return s.unwritten
		case done && failures > 0 && !s.io.inTTY:
			return fmt.Errorf("%d of the lines failed", failures)
		case done:
			return nil
		}
	}
}

// prompt invites a person, and nobody else, to type.
func (s *session) prompt() {
	if s.io.inTTY && !s.quiet {
		fmt.Fprint(s.io.err, "> ")
	}
}

// take carries out one line.
func (s *session) take(ctx context.Context, text string) (done bool, err error) {
	command, argument, _ := strings.Cut(text, " ")
	switch command {
	case "/quit", "/exit":
		return true, nil
	case "/reset":
		s.history = nil
		return false, nil
	case "/system":
		s.system = argument
		return false, nil
	case "/adapter":
		return false, s.switchAdapter(argument)
	case "/both":
		return false, s.both(ctx)
	}
	if strings.HasPrefix(text, "/") {
		return false, fmt.Errorf("unknown command %s: /adapter on|off, /both, /system TEXT, /reset, /quit", command)
	}
	s.history = append(s.history, datasets.Message{Role: "user", Content: text})
	answer, err := s.answer(ctx, s.adapter)
	if err != nil {
		s.history = s.history[:len(s.history)-1]
		return false, err
	}
	s.history = append(s.history, datasets.Message{Role: "assistant", Content: answer})
	return false, nil
}

func (s *session) switchAdapter(to string) error {
	if !s.chat.HasAdapter() {
		return errors.New("there is no adapter: start with --adapter")
	}
	if to != "on" && to != "off" {
		return fmt.Errorf("/adapter wants on or off, got %q", to)
	}
	s.adapter = to == "on"
	return nil
}

// both answers the last message without and with the adapter.
func (s *session) both(ctx context.Context) error {
	if !s.chat.HasAdapter() {
		return errors.New("there is no adapter: start with --adapter")
	}
	kept := s.history
	defer func() { s.history = kept }()
	for len(s.history) > 0 && s.history[len(s.history)-1].Role == "assistant" {
		s.history = s.history[:len(s.history)-1]
	}
	if len(s.history) == 0 {
		return errors.New("there is no message to answer yet")
	}
	for _, on := range []bool{false, true} {
		s.write(fmt.Sprintf("[adapter %s] ", map[bool]string{false: "off", true: "on"}[on]))
		if _, err := s.answer(ctx, on); err != nil {
			return err
		}
	}
	return nil
}

// answer streams an answer; Ctrl-C ends it.
func (s *session) answer(ctx context.Context, adapter bool) (string, error) {
	ctx, done := s.keys.answering(ctx)
	defer done()
	conversation := s.history
	if s.system != "" {
		conversation = append([]datasets.Message{{Role: "system", Content: s.system}}, conversation...)
	}
	began := false
	text, err := s.chat.Answer(ctx, conversation, adapter, func(piece string) {
		began = true
		s.write(visible(piece))
	})
	if began || err == nil {
		s.write("\n")
	}
	return text, err
}

// write keeps the first error of stdout, which ends the conversation.
func (s *session) write(text string) {
	if _, err := fmt.Fprint(s.io.out, text); err != nil && s.unwritten == nil {
		s.unwritten = err
	}
}
