package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/records"
	"align/internal/tokenizer"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

type tokenizeOptions struct {
	model        string
	jsonl, chat  bool
	template     string // of --chat, where a line names no version
	templated    bool   // it was named
	bos, special bool
	quiet        bool
	texts        []string
	io           *streams
}

func newTokenizeCommand(io *streams) *cobra.Command {
	o := &tokenizeOptions{io: io}
	c := &cobra.Command{
		Use:   "tokenize [TEXT...]",
		Short: "Print the token ids of texts",
		Long: `tokenize prints one JSON list of ids for each text. Texts are arguments, or
stdin as one text.

With --jsonl stdin holds lines {"text": "...", "bos": false, "special": false}
and each is answered with its ids: "bos" begins them with the BOS token,
"special" lets the names of special tokens in the text become those tokens.
Without it a text never yields a special token, whatever it spells.

With --chat stdin holds lines {"messages": [{"role": "user", "content": "..."}],
"version": "3.1", "add_generation_prompt": true, "kwargs": {}} and each is
answered with the ids of the rendered conversation. "version" is 3, 3.1, 3.2 or
the name of a template; without it --template decides. "kwargs" are date_string,
tools, tools_in_user_message and builtin_tools.

A folder with only a tokenizer file is enough.`,
		Example: `  align tokenize --model models/llama "Hello world"
  align tokenize --model models/llama --bos < prompt.txt
  align tokenize --model models/llama --jsonl < texts.jsonl > ids.jsonl
  align tokenize --model models/llama --chat < chats.jsonl > ids.jsonl`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			o.texts, o.templated = args, c.Flags().Changed("template")
			if err := o.check(); err != nil {
				return wrongUse(c, err)
			}
			return runTokenize(o)
		},
	}
	c.Flags().StringVar(&o.model, "model", "", "`name` of the model, or its tokenizer.json or tokenizer.model")
	c.Flags().BoolVar(&o.jsonl, "jsonl", false, "read lines of JSON with a text from stdin")
	c.Flags().BoolVar(&o.chat, "chat", false, "read lines of JSON with messages from stdin")
	c.Flags().StringVar(&o.template, "template", "auto", plainHelp("template"))
	c.Flags().BoolVar(&o.bos, "bos", false, "begin with the BOS token")
	c.Flags().BoolVar(&o.special, "special", false, "let the names of special tokens in the text become those tokens")
	addQuietFlag(c, &o.quiet)
	return c
}

func (o *tokenizeOptions) check() error {
	var errs []error
	if o.jsonl && o.chat {
		errs = append(errs, errors.New("--jsonl and --chat exclude each other"))
	}
	if (o.jsonl || o.chat) && (len(o.texts) > 0 || o.bos || o.special) {
		errs = append(errs, errors.New("--jsonl and --chat read texts and their flags from stdin: no TEXT, --bos or --special beside them"))
	}
	if o.templated && !o.chat {
		errs = append(errs, errors.New("--template is of --chat: a text is tokenized as it is"))
	}
	if len(o.texts) == 0 && o.io.inTTY && !o.jsonl && !o.chat {
		errs = append(errs, errors.New("no text: give it as an argument or on stdin"))
	}
	return errors.Join(errs...)
}

func runTokenize(o *tokenizeOptions) error {
	t, err := basemodel.OpenTokenizer(o.io.modelOr(o.model, o.quiet))
	if err != nil {
		return err
	}
	if o.chat {
		chats := &chatTokenizer{tokenizer: t, fallback: o.template, templates: map[string]*datasets.Template{}}
		return inStdin(filterLines(o.io.in, o.io.out, chats.line))
	}
	if o.jsonl {
		return inStdin(filterLines(o.io.in, o.io.out, func(dst, line []byte) ([]byte, error) {
			return tokenizeLine(t, dst, line)
		}))
	}
	if len(o.texts) == 0 {
		text, err := io.ReadAll(io.LimitReader(o.io.in, maxLine+1))
		if err != nil {
			return inStdin(err)
		}
		if len(text) > maxLine {
			return inStdin(fmt.Errorf("longer than %d bytes", maxLine))
		}
		o.texts = []string{string(text)}
	}
	for _, text := range o.texts {
		if err := printIDs(o.io, t, t.Encode(text, o.bos, o.special)); err != nil {
			return err
		}
	}
	return nil
}

// inStdin says where an error of input came from.
func inStdin(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("tokenize: stdin: %w", err)
}

// printIDs prints a list of ids, and on a terminal the pieces above it.
func printIDs(io *streams, t *tokenizer.Tokenizer, ids []int32) error {
	if io.outTTY {
		if _, err := fmt.Fprintln(io.out, drawPieces(io.outStyle(), t, ids)); err != nil {
			return err
		}
	}
	_, err := io.out.Write(append(appendIDs(nil, ids), '\n'))
	return err
}

// tokenizeLine answers one line of --jsonl.
func tokenizeLine(t *tokenizer.Tokenizer, dst, line []byte) ([]byte, error) {
	var request struct {
		Text    *string `json:"text"`
		BOS     bool    `json:"bos"`
		Special bool    `json:"special"`
	}
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, wrongLine(err, line)
	}
	if request.Text == nil {
		return nil, errors.New(`"text" is missing`)
	}
	return appendIDs(dst, t.Encode(*request.Text, request.BOS, request.Special)), nil
}

// wrongLine says what is wrong with a line, or which member of it has a value of
// another type.
func wrongLine(err error, line []byte) error {
	var wrong *json.SemanticError
	switch {
	case !errors.As(err, &wrong):
		return errors.New(records.JSONReason(err, line))
	case wrong.JSONPointer == "":
		return fmt.Errorf(`the line is %s: want an object {"text": ...}`, records.KindName(wrong.JSONKind))
	}
	want := "true or false"
	if wrong.JSONPointer == "/text" {
		want = "a string"
	}
	return fmt.Errorf("%q is %s: want %s", wrong.JSONPointer.LastToken(), records.KindName(wrong.JSONKind), want)
}

// chatTokenizer answers lines of --chat. It makes each template once.
type chatTokenizer struct {
	tokenizer *tokenizer.Tokenizer
	fallback  string
	templates map[string]*datasets.Template
}

func (c *chatTokenizer) line(dst, line []byte) ([]byte, error) {
	request, err := datasets.ParseChatRequest(line)
	if err != nil {
		return nil, err
	}
	name := request.Template
	if name == "" {
		name = c.fallback
	}
	if c.templates[name] == nil {
		if c.templates[name], _, err = datasets.ChooseTemplate(name, c.tokenizer); err != nil {
			return nil, err
		}
	}
	rendered, err := c.templates[name].Render(request.Messages, request.Options)
	if err != nil {
		return nil, err
	}
	return appendIDs(dst, rendered.IDs), nil
}

// appendIDs appends ids as a JSON list.
func appendIDs(dst []byte, ids []int32) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(id), 10)
	}
	return append(dst, ']')
}
