package datasets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/tokenizer"
)

// TemplateNames are the names that NewTemplate takes.
func TemplateNames() []string {
	return []string{"llama3", "llama3.1", "llama3.2", "chatml", "zephyr", "plain", "raw"}
}

// NewTemplate makes a template by its name. It refuses a tokenizer without
// the special tokens that the template needs.
func NewTemplate(name string, tok *tokenizer.Tokenizer) (*Template, error) {
	t := &Template{name: name, tok: tok, headers: map[string][]int32{}}
	var err error
	switch name {
	case "llama3", "llama3.1", "llama3.2":
		err = t.setLlama3()
	case "chatml":
		err = t.setChatML()
	case "zephyr":
		err = t.setZephyr()
	case "plain":
		err = t.setPlain()
	case "raw":
		err = t.setRaw()
	default:
		err = fmt.Errorf("datasets: template %q: want one of %s", name, strings.Join(TemplateNames(), ", "))
	}
	if err != nil {
		return nil, err
	}
	t.setStop()
	return t, nil
}

// setLlama3: <|begin_of_text|>, then for each message
//
//	<|start_header_id|>ROLE<|end_header_id|>\n\nCONTENT<|eot_id|>
func (t *Template) setLlama3() error {
	ids, err := specials(t.tok, t.name, "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
	if err != nil {
		return err
	}
	t.trim = true
	t.preamble = t.name != "llama3"
	t.builtinTools = t.name == "llama3.1"
	t.bos, t.closing = ids[:1:1], ids[3:]
	roles := map[string]string{"system": "system", "user": "user", "assistant": "assistant"}
	if t.preamble {
		roles["tool"] = "ipython"
	}
	for role, word := range roles {
		header := t.tok.EncodeOrdinary([]int32{ids[1]}, word)
		header = append(header, ids[2])
		t.headers[role] = t.tok.EncodeOrdinary(header, "\n\n")
	}
	return nil
}

// setChatML: messages joined by newlines,
//
//	<|im_start|>ROLE\nCONTENT<|im_end|>
//
// without BOS. The format's newline behind the last message is left out: an
// answer ends with <|im_end|>.
func (t *Template) setChatML() error {
	ids, err := specials(t.tok, t.name, "<|im_start|>", "<|im_end|>")
	if err != nil {
		return err
	}
	t.closing = ids[1:]
	t.between = t.tok.EncodeOrdinary(nil, "\n")
	for _, role := range []string{"system", "user", "assistant", "tool"} {
		t.headers[role] = t.tok.EncodeOrdinary([]int32{ids[0]}, role+"\n")
	}
	return nil
}

// setZephyr: messages joined by newlines,
//
//	<|ROLE|>\nCONTENT and EOS
//
// without BOS. A tokenizer may have <|ROLE|> as special tokens. The format's
// newline behind the last message is left out: an answer ends with EOS.
func (t *Template) setZephyr() error {
	eos, ok := t.tok.EOS()
	if !ok {
		return errors.New("datasets: template zephyr needs a tokenizer with EOS")
	}
	t.closing = []int32{eos}
	t.between = t.tok.EncodeOrdinary(nil, "\n")
	for _, role := range []string{"system", "user", "assistant"} {
		t.headers[role] = t.tok.Encode("<|"+role+"|>\n", false, true)
	}
	return nil
}

// setPlain is for base models: BOS if there is one, then the contents one to
// a line, whoever speaks, and EOS behind each of the assistant's. A content is
// encoded together with its newline.
func (t *Template) setPlain() error {
	if err := t.setRaw(); err != nil {
		return err
	}
	t.lineEnd = "\n"
	t.between = t.tok.EncodeOrdinary(nil, t.lineEnd)
	return nil
}

// setRaw is plain without newlines: the contents stand end to end, so that a
// prompt and its completion bring the space between them along, as in TRL's
// data sets of plain texts.
func (t *Template) setRaw() error {
	eos, ok := t.tok.EOS()
	if !ok {
		return fmt.Errorf("datasets: template %s needs a tokenizer with EOS", t.name)
	}
	if bos, ok := t.tok.BOS(); ok {
		t.bos = []int32{bos}
	}
	t.closing = []int32{eos}
	t.open = true
	for _, role := range []string{"system", "user", "assistant"} {
		t.headers[role] = nil
	}
	return nil
}

// setStop takes the closing token, EOS and Llama 3's other ends.
func (t *Template) setStop() {
	t.stop = slices.Clone(t.closing)
	if eos, ok := t.tok.EOS(); ok && !slices.Contains(t.stop, eos) {
		t.stop = append(t.stop, eos)
	}
	for _, name := range []string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"} {
		if id, ok := t.tok.Special(name); ok && !slices.Contains(t.stop, id) {
			t.stop = append(t.stop, id)
		}
	}
}

// specials are the ids of special tokens that the template needs.
func specials(tok *tokenizer.Tokenizer, template string, names ...string) ([]int32, error) {
	ids := make([]int32, len(names))
	var missing []string
	for i, name := range names {
		id, ok := tok.Special(name)
		if !ok {
			missing = append(missing, name)
		}
		ids[i] = id
	}
	if missing != nil {
		return nil, fmt.Errorf("datasets: template %s needs %s, which the tokenizer does not have", template, strings.Join(missing, ", "))
	}
	return ids, nil
}
