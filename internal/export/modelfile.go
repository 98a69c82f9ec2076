package export

import (
	"fmt"
	"slices"
	"strings"

	"align/datasets"
	"align/internal/tokenizer"
)

// ollamaTemplates are the chat templates in the language of Ollama's Modelfile
// (text/template; ollama/ollama, template/*.gotmpl). Ollama puts BOS before
// them itself.
var ollamaTemplates = map[string]string{
	"llama3": `{{ if .System }}<|start_header_id|>system<|end_header_id|>

{{ .System }}<|eot_id|>{{ end }}{{ if .Prompt }}<|start_header_id|>user<|end_header_id|>

{{ .Prompt }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>

{{ .Response }}<|eot_id|>`,
	"chatml": `{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
`,
	"zephyr": `{{ if .System }}<|system|>
{{ .System }}</s>
{{ end }}{{ if .Prompt }}<|user|>
{{ .Prompt }}</s>
{{ end }}<|assistant|>
{{ .Response }}</s>
`,
	"plain": "{{ .Prompt }}\n{{ .Response }}",
	"raw":   "{{ .Prompt }}{{ .Response }}",
}

// llama3Stops are what Ollama's own Modelfiles of Llama 3 stop at.
var llama3Stops = []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}

// modelfile is what `ollama create NAME -f` reads to take over a GGUF file
// beside it. template may be nil: Ollama then goes by the file's chat_template.
func modelfile(gguf string, template *datasets.Template, tok *tokenizer.Tokenizer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# ollama create NAME -f this file\nFROM ./%s\n", gguf)
	if template == nil {
		return b.String()
	}
	kind := template.Name()
	var stops []string
	if strings.HasPrefix(kind, "llama3") {
		kind, stops = "llama3", slices.Clone(llama3Stops)
	}
	for _, id := range template.StopIDs() {
		if name := tok.Text(id); name != "" && !slices.Contains(stops, name) {
			stops = append(stops, name)
		}
	}
	text := ollamaTemplates[kind]
	if eos, ok := tok.EOS(); ok && kind == "zephyr" {
		text = strings.ReplaceAll(text, "</s>", tok.Text(eos))
	}
	if tok.ChatTemplate() != "" {
		b.WriteString("# Ollama goes by the chat_template of the file where it knows it; this is the one trained with.\n")
	}
	fmt.Fprintf(&b, "TEMPLATE \"\"\"%s\"\"\"\n", text)
	for _, s := range stops {
		fmt.Fprintf(&b, "PARAMETER stop %q\n", s)
	}
	return b.String()
}
