package align

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"align/datasets"
	"align/internal/score"
	"align/model"
	"align/rejection"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// readPrompts reads a file of prompts and says how long the longest one is, in
// tokens; a column "reference" or "answer" is what rules compare with. columns
// names foreign columns, rule is the scorer where it is no reward model.
func readPrompts(ctx context.Context, path, columns, rule string, o datasets.Options, env Environment) ([]rejection.Prompt, int, error) {
	var err error
	if o.Map, err = datasets.ParseMapping(columns); err != nil {
		return nil, 0, err
	}
	o.Progress = env.progress("reading " + path)
	list, summary, err := datasets.ReadPrompts(ctx, path, o)
	if err != nil {
		return nil, 0, err
	}
	env.noteRead(summary)
	if len(list) == 0 {
		return nil, 0, fmt.Errorf("%s: no prompt is left to answer", path)
	}
	var prompts []rejection.Prompt
	longest := 1
	for _, p := range list {
		longest = max(longest, len(p.IDs))
		source, text, err := promptSource(p)
		if err != nil {
			return nil, 0, err
		}
		prompts = append(prompts, rejection.Prompt{Source: source, Tools: toolsSource(p), Messages: p.Conversation, Text: text, IDs: p.IDs, Reference: reference(p), Place: p.Place})
	}
	return prompts, longest, checkReferences(rule, prompts)
}

// answerable reads prompts that leave the model room for an answer; others are
// dropped, counted and named.
func answerable(t *datasets.Template, c model.Config) datasets.Options {
	return datasets.Options{Template: t, MaxLength: c.ContextLength - 1}
}

// checkReferences refuses a rule that finds nothing to compare with in some of the
// prompts: it would end a job at the first of them.
func checkReferences(rule string, prompts []rejection.Prompt) error {
	without := 0
	var first error
	for _, p := range prompts {
		if err := score.CheckReference(rule, p.Reference); err != nil {
			without++
			first = cmp.Or(first, fmt.Errorf("%s: %w", p.Place, err))
		}
	}
	if without == 0 {
		return nil
	}
	return fmt.Errorf("scorer %s: %d of %d prompts have nothing to compare with in a column reference or answer (first: %w): map: reference=COLUMN names another", rule, without, len(prompts), first)
}

// roomFor is the most tokens that an answer to any of the prompts may have: what was
// asked for, or what the context leaves beside the shortest. Answers to longer ones
// end with the context, which is told.
func roomFor(maxNew int, lengths []int, context int, env Environment) (int, error) {
	longest, cut := slices.Max(lengths), 0
	if longest >= context {
		return 0, fmt.Errorf("the longest prompt has %d tokens and leaves no room for an answer in the model's context of %d", longest, context)
	}
	for _, n := range lengths {
		if n+maxNew > context {
			cut++
		}
	}
	if cut > 0 {
		env.note(fmt.Sprintf("max_new: %d of %d prompts leave less than %d tokens of the model's context of %d, and their answers end there; the longest leaves %d",
			cut, len(lengths), maxNew, context, context-longest))
	}
	return min(maxNew, context-slices.Min(lengths)), nil
}

// lengthsOf are the prompts' numbers of tokens.
func lengthsOf(prompts []rejection.Prompt) []int {
	lengths := make([]int, len(prompts))
	for i, p := range prompts {
		lengths[i] = len(p.IDs)
	}
	return lengths
}

// promptSource is the prompt as JSON, one text or messages, and as plain text.
func promptSource(p datasets.Prompt) (jsontext.Value, string, error) {
	var messages []sourceMessage
	var text []string
	for _, m := range p.Conversation {
		messages = append(messages, sourceOf(m))
		text = append(text, m.Content)
	}
	var source any = messages
	if len(p.Conversation) == 1 && p.Conversation[0].Role == "user" {
		source = p.Conversation[0].Content
	}
	raw, err := json.Marshal(source)
	return raw, strings.Join(text, "\n"), err
}

// sourceMessage is a message as our readers, and TRL's, read it.
type sourceMessage struct {
	Role      string       `json:"role"`
	Content   any          `json:"content"`
	ToolCalls []sourceCall `json:"tool_calls,omitempty"`
}

type sourceCall struct {
	Type     string         `json:"type"`
	Function sourceFunction `json:"function"`
}

type sourceFunction struct {
	Name      string         `json:"name"`
	Arguments jsontext.Value `json:"arguments"`
}

func sourceOf(m datasets.Message) sourceMessage {
	s := sourceMessage{Role: m.Role, Content: m.Content}
	if m.ContentJSON != nil {
		s.Content = m.ContentJSON
	}
	for _, c := range m.ToolCalls {
		s.ToolCalls = append(s.ToolCalls, sourceCall{Type: "function", Function: sourceFunction(c)})
	}
	return s
}

// toolsSource are a prompt's tools as the column tools has them; nil is none.
func toolsSource(p datasets.Prompt) []jsontext.Value {
	var tools []jsontext.Value
	if len(p.Conversation) > 0 {
		for _, tool := range p.Conversation[0].Tools {
			tools = append(tools, tool)
		}
	}
	return tools
}

func reference(p datasets.Prompt) string {
	for _, name := range []string{"reference", "answer"} {
		v, ok := p.Record.Get(name)
		if !ok {
			continue
		}
		var s string
		if json.Unmarshal(v, &s) == nil {
			return s
		}
		return string(v)
	}
	return ""
}
