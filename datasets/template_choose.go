package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"align/internal/tokenizer"
)

// maxTemplateBytes bounds a file with a chat template; Llama's have 4 KB.
const maxTemplateBytes = 1 << 20

// ChooseTemplate makes the template that choice means, and says why it is
// that one. A choice is the name of a template, a file with the text of a
// chat_template, or auto: the template that the tokenizer's chat_template is,
// by its text; without one, llama3 where the tokenizer has Llama 3's header
// tokens, or else plain. A chat_template that is none of the known ones is
// refused.
func ChooseTemplate(choice string, tok *tokenizer.Tokenizer) (t *Template, reason string, err error) {
	var name string
	switch {
	case choice == "auto" || choice == "":
		name, reason, err = autoTemplate(tok)
	case slices.Contains(TemplateNames(), choice):
		name, reason = choice, "chosen by name"
	default:
		name, reason, err = fileTemplate(choice)
	}
	if err != nil {
		return nil, "", err
	}
	t, err = NewTemplate(name, tok)
	return t, reason, err
}

func autoTemplate(tok *tokenizer.Tokenizer) (name, reason string, err error) {
	if text := tok.ChatTemplate(); text != "" {
		name, ok := recognise(text)
		if !ok {
			return "", "", unknownTemplate("the model's chat_template")
		}
		return name, "the model's chat_template is " + name, nil
	}
	if _, err := specials(tok, "llama3", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"); err == nil {
		return "llama3", "the model has no chat_template and its tokenizer has Llama 3's header tokens", nil
	}
	return "plain", "the model has neither a chat_template nor Llama 3's header tokens", nil
}

func fileTemplate(path string) (name, reason string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("datasets: template %q is neither a file nor one of auto, %s", path, strings.Join(TemplateNames(), ", "))
	}
	if err != nil {
		return "", "", fmt.Errorf("datasets: template: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTemplateBytes+1))
	if err != nil {
		return "", "", fmt.Errorf("datasets: template: %w", err)
	}
	if len(text) > maxTemplateBytes {
		return "", "", fmt.Errorf("datasets: template %s has more than %d bytes", path, maxTemplateBytes)
	}
	name, ok := recognise(string(text))
	if !ok {
		return "", "", unknownTemplate(path)
	}
	return name, "the chat_template in " + path + " is " + name, nil
}

// Jinja is a chat_template that others render as this one is; "" where there is
// none to give: of plain and raw, and of llama3.1 and llama3.2, whose texts come with
// their models.
func (t *Template) Jinja() string {
	texts := knownTexts()[t.name]
	for _, text := range texts {
		if strings.Contains(text, "add_generation_prompt") {
			return text
		}
	}
	return ""
}

func unknownTemplate(what string) error {
	return fmt.Errorf("datasets: %s is not a known one: choose one by its name, as --template or the key template: %s", what, strings.Join(TemplateNames(), ", "))
}

// recognise is the name of the template that a Jinja text is.
func recognise(text string) (string, bool) {
	canonical := canonicalJinja(text)
	for _, known := range knownTemplates() {
		if canonical == known.canonical || known.canonical == "" && hashText(canonical) == known.hash {
			return known.name, true
		}
	}
	return "", false
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// knownTemplate is a template by its canonical text or, where the text is
// long, by the hash of that.
type knownTemplate struct {
	name, canonical, hash string
}

// knownTemplates are the texts in use. Those that end with a generation
// prompt in every case are listed too: whether there is one is the caller's
// choice.
func knownTemplates() []knownTemplate {
	known := []knownTemplate{
		// Llama-3.1-8B-Instruct and Llama-3.3-70B-Instruct.
		{name: "llama3.1", hash: llama31Hash},
		// Llama-3.2-1B-Instruct and Llama-3.2-3B-Instruct.
		{name: "llama3.2", hash: llama32Hash},
		// Llama 3's with a case for each role, as Unsloth saves it.
		{name: "llama3", hash: llama3RolesHash},
	}
	for name, texts := range knownTexts() {
		for _, text := range texts {
			known = append(known, knownTemplate{name: name, canonical: canonicalJinja(text)})
		}
	}
	return known
}

const (
	// SHA-256 of the canonical texts.
	llama31Hash = "a374583c3bc7c39fd25c521f54ee1cdc7283f23cd80ff1ae5128514c5ea9742e"
	llama32Hash = "546807bf84ba29dbf42d7f99b10cdb9d5fcc1a5ce49ae47a9859a4c5cef21721"

	llama3RolesHash = "760247cc868396a1cac7bedd55e8dc144b3c1cfbae8c4d021cdbc92e3fecf094"
)

// knownTexts are the short templates by name.
func knownTexts() map[string][]string {
	const (
		llama3 = `{% set loop_messages = messages %}{% for message in loop_messages %}` +
			`{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}` +
			`{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}`
		// The same with BOS before the loop.
		llama3Short = `{{ bos_token }}{% for message in messages %}` +
			`{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}`
		llama3Prompt = `{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}`
		defined      = `{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}`
		chatML       = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}`
		// The same with the last two strings as one.
		chatMLShort  = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}`
		chatMLPrompt = `{{ '<|im_start|>assistant\n' }}`
		zephyr       = `{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n' + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}`
	)
	known := map[string][]string{
		"llama3": {llama3 + llama3Prompt, llama3 + onPrompt(llama3Prompt), defined + llama3 + onPrompt(llama3Prompt), llama3Short + onPrompt(llama3Prompt)},
		"zephyr": {zephyr},
	}
	for _, each := range []string{chatML, chatMLShort} {
		known["chatml"] = append(known["chatml"],
			each+`{% endfor %}`+onPrompt(chatMLPrompt),
			defined+each+`{% endfor %}`+onPrompt(chatMLPrompt),
			each+`{% if loop.last and add_generation_prompt %}`+chatMLPrompt+`{% endif %}{% endfor %}`,
		)
	}
	return known
}

// onPrompt is text for when a generation prompt is asked for.
func onPrompt(text string) string {
	return `{% if add_generation_prompt %}` + text + `{% endif %}`
}
