package datasets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/tokenizer"
)

// A template renders a conversation as token ids. It never makes a string of
// the whole and tokenises that: headers and closing tokens are ids, and each
// content is encoded as ordinary text, so no content can spell a header or
// the end of a turn. The same two lists of ids serve everywhere, which makes
// a prompt and its response the rendering of both.

// defaultDate is the date in the system message of Llama 3.1 and 3.2. Their
// templates know it as the default; a fixed one keeps training reproducible.
const defaultDate = "26 Jul 2024"

// Template renders conversations for one tokenizer. It is immutable and safe
// for concurrent use.
type Template struct {
	name    string
	tok     *tokenizer.Tokenizer
	bos     []int32            // before the first message
	between []int32            // before each further message
	headers map[string][]int32 // by role, before the content
	closing []int32            // after the content
	// open is the layout of plain and raw: the assistant's messages alone are
	// closed, and the others end with lineEnd.
	open    bool
	lineEnd string
	trim    bool // white space around contents is cut
	// preamble is set where a system message with dates always comes first.
	preamble     bool
	builtinTools bool // built-in tools and <|eom_id|>
	stop         []int32
}

// Rendering is a conversation as tokens; the three lists are of one length.
type Rendering struct {
	IDs []int32
	// LossMask marks the targets: contents of the assistant and the token
	// that closes them.
	LossMask []bool
	// Format marks headers, separators and closing tokens, which Llama 3's
	// preference training leaves out of the loss.
	Format []bool
}

// RenderOptions are the choices besides the conversation. The zero value is
// the default of each template.
type RenderOptions struct {
	// GenerationPrompt ends with the header of an assistant's answer.
	GenerationPrompt bool
	// DateString is the day in the system message of Llama 3.1 and 3.2; ""
	// means 26 Jul 2024.
	DateString string
	// Tools are descriptions of functions, each a JSON value; nil is those of
	// the conversation's first message.
	Tools [][]byte
	// ToolsInSystem puts the tools into the system message, not into the
	// first message of the user.
	ToolsInSystem bool
	// BuiltinTools names Llama 3.1's tools; nil is none.
	BuiltinTools []string
}

// Name is the template's name, one of TemplateNames.
func (t *Template) Name() string { return t.name }

// StopIDs are the tokens that end an answer.
func (t *Template) StopIDs() []int32 { return slices.Clone(t.stop) }

// Prompt is the conversation up to where the assistant's answer begins.
func (t *Template) Prompt(conversation []Message) ([]int32, error) {
	r, err := t.Render(conversation, RenderOptions{GenerationPrompt: true})
	return r.IDs, err
}

// Response is an answer of the assistant behind a prompt: content and closing
// token; format marks the closing token. Prompt and Response together are the
// Render of the conversation with the answer.
func (t *Template) Response(content string) (ids []int32, format []bool) {
	ids = append(t.encode(content), t.closing...)
	format = make([]bool, len(ids))
	for i := range t.closing {
		format[len(ids)-1-i] = true
	}
	return ids, format
}

// Render is the whole conversation with its masks. It refuses roles that the
// template does not have, and tools where it has none.
func (t *Template) Render(conversation []Message, o RenderOptions) (Rendering, error) {
	if o.Tools == nil && len(conversation) > 0 {
		o.Tools = conversation[0].Tools
	}
	if err := t.check(conversation, o); err != nil {
		return Rendering{}, err
	}
	r := &renderer{t: t}
	r.add(t.bos, false, true)
	if t.preamble {
		rest, err := r.addPreamble(conversation, o)
		if err != nil {
			return Rendering{}, err
		}
		conversation = rest
	}
	for _, m := range conversation {
		if err := r.addMessage(m, o); err != nil {
			return Rendering{}, err
		}
	}
	if o.GenerationPrompt {
		r.open("assistant")
	}
	return r.out, nil
}

// check looks at everything before the first token is made.
func (t *Template) check(conversation []Message, o RenderOptions) error {
	var errs []error
	if len(conversation) == 0 {
		errs = append(errs, errors.New("datasets: conversation has no messages"))
	}
	for i, m := range conversation {
		if _, ok := t.headers[m.Role]; !ok {
			errs = append(errs, fmt.Errorf("datasets: message %d: role %q: template %s has %s", i+1, m.Role, t.name, t.roles()))
		}
		if len(m.ToolCalls) > 0 {
			errs = append(errs, t.checkCalls(i, m))
		}
		if m.ContentJSON != nil && m.Role != "tool" {
			errs = append(errs, fmt.Errorf("datasets: message %d: content of role %q is not a string", i+1, m.Role))
		}
	}
	if o.Tools != nil && !t.preamble {
		errs = append(errs, fmt.Errorf("datasets: template %s has no tools%s", t.name, t.withTools()))
	}
	return errors.Join(errs...)
}

func (t *Template) checkCalls(i int, m Message) error {
	switch {
	case !t.preamble:
		return fmt.Errorf("datasets: message %d: template %s has no tool calls%s", i+1, t.name, t.withTools())
	case m.Role != "assistant":
		return fmt.Errorf("datasets: message %d: tool call by role %q: want assistant", i+1, m.Role)
	case len(m.ToolCalls) > 1:
		return fmt.Errorf("datasets: message %d: %d tool calls: template %s has one at a time", i+1, len(m.ToolCalls), t.name)
	}
	return nil
}

// withTools names the templates that have what Llama 3's has not.
func (t *Template) withTools() string {
	if t.name == "llama3" {
		return ": llama3.1 and llama3.2 have"
	}
	return ""
}

// roles lists the roles that the template has.
func (t *Template) roles() string {
	var roles []string
	for _, role := range []string{"system", "user", "assistant", "tool"} {
		if _, ok := t.headers[role]; ok {
			roles = append(roles, role)
		}
	}
	return strings.Join(roles, ", ")
}

// encode is the ids of one content.
func (t *Template) encode(content string) []int32 {
	if t.trim {
		content = trimSpace(content)
	}
	return t.tok.EncodeOrdinary(nil, content)
}

// trimSpace cuts what Jinja's trim, which is Python's strip, cuts: Unicode
// white space and the four separators U+001C to U+001F.
func trimSpace(s string) string {
	for {
		cut := strings.Trim(strings.TrimSpace(s), "\x1c\x1d\x1e\x1f")
		if len(cut) == len(s) {
			return s
		}
		s = cut
	}
}

// renderer builds one rendering.
type renderer struct {
	t       *Template
	out     Rendering
	between []int32 // before the next message
}

// add appends ids that are all targets or none, all format or none.
func (r *renderer) add(ids []int32, target, format bool) {
	r.out.IDs = append(r.out.IDs, ids...)
	for range ids {
		r.out.LossMask = append(r.out.LossMask, target)
		r.out.Format = append(r.out.Format, format)
	}
}

// open begins a message.
func (r *renderer) open(role string) {
	r.add(r.between, false, true)
	r.between = r.t.between
	r.add(r.t.headers[role], false, true)
}

// close ends a message of the role with the ids given.
func (r *renderer) close(role string, closing []int32) {
	if role == "assistant" || !r.t.open {
		r.add(closing, role == "assistant", true)
	}
}

func (r *renderer) addMessage(m Message, o RenderOptions) error {
	if r.t.preamble && (m.Role == "tool" || len(m.ToolCalls) > 0) {
		return r.addToolMessage(m, o)
	}
	r.open(m.Role)
	content := m.Content
	if r.t.open && m.Role != "assistant" {
		// In one piece: the vocabulary may have a token for ".\n", which a base
		// model has seen there.
		content += r.t.lineEnd
		r.between = nil
	}
	r.add(r.t.encode(content), m.Role == "assistant", false)
	r.close(m.Role, r.t.closing)
	return nil
}
