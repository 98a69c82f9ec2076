package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// llama3Pattern is how Llama 3 cuts text before it merges: GGUF's "llama-bpe".
const llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// tokenizerFile is what of tokenizer.json GGUF's keys need.
type tokenizerFile struct {
	Model struct {
		Type   string           `json:"type"`
		Vocab  map[string]int32 `json:"vocab"`
		Merges []jsontext.Value `json:"merges"`
	} `json:"model"`
	Added []struct {
		ID      int32  `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	PreTokenizer struct {
		Steps []struct {
			Pattern struct {
				Regex string `json:"Regex"`
			} `json:"pattern"`
		} `json:"pretokenizers"`
	} `json:"pre_tokenizer"`
}

// cutsAsLlama3 says whether the text is cut by Llama 3's pattern.
func (f tokenizerFile) cutsAsLlama3() bool {
	steps := f.PreTokenizer.Steps
	return len(steps) > 0 && steps[0].Pattern.Regex == llama3Pattern
}

// tokenizerConfig is what of tokenizer_config.json GGUF's keys need.
type tokenizerConfig struct {
	AddBOS       *bool          `json:"add_bos_token"`
	EOS          jsontext.Value `json:"eos_token"`
	Padding      jsontext.Value `json:"pad_token"`
	ChatTemplate jsontext.Value `json:"chat_template"`
}

// FolderTokenizer reads the tokenizer.json of a Hugging Face folder, and what
// tokenizer_config.json and config.json say of it, as GGUF's converter does.
func FolderTokenizer(dir string) (TokenizerSpec, error) {
	spec, err := folderTokenizer(dir)
	if err != nil {
		return TokenizerSpec{}, fmt.Errorf("model: %s: %w", filepath.Join(dir, "tokenizer.json"), err)
	}
	return spec, nil
}

func folderTokenizer(dir string) (TokenizerSpec, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return TokenizerSpec{}, err
	}
	var f tokenizerFile
	if err := readJSONFile(filepath.Join(dir, "tokenizer.json"), &f); err != nil {
		return TokenizerSpec{}, err
	}
	if f.Model.Type != "BPE" && f.Model.Type != "" {
		return TokenizerSpec{}, fmt.Errorf("model type %q: only byte-level BPE can be written as GGUF", f.Model.Type)
	}
	if !f.cutsAsLlama3() {
		return TokenizerSpec{}, errors.New("it does not cut text as Llama 3 does: GGUF has no name for its pattern")
	}
	var conf tokenizerConfig
	err = readJSONFile(filepath.Join(dir, "tokenizer_config.json"), &conf)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return TokenizerSpec{}, err
	}
	t := TokenizerSpec{Model: "gpt2", Pre: "llama-bpe", BOS: c.BOS, EOS: -1, EOT: -1, EOM: -1, Padding: -1}
	if err := t.takeTokens(f, c.VocabSize); err != nil {
		return TokenizerSpec{}, err
	}
	if t.Merges, err = mergeStrings(f.Model.Merges); err != nil {
		return TokenizerSpec{}, err
	}
	t.takeSpecial(f, conf, c)
	t.ChatTemplate, err = chatTemplate(dir, conf.ChatTemplate)
	return t, err
}

func readJSONFile(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// takeTokens lists the tokens by id; ids that no token has are unused.
func (t *TokenizerSpec) takeTokens(f tokenizerFile, vocab int) error {
	t.Tokens, t.Types = make([]string, vocab), make([]int32, vocab)
	put := func(id int32, text string, kind int32) error {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("token %q has id %d, the model has %d tokens", text, id, vocab)
		}
		t.Tokens[id], t.Types[id] = text, kind
		return nil
	}
	for text, id := range f.Model.Vocab {
		if err := put(id, text, TokenNormal); err != nil {
			return err
		}
	}
	for _, a := range f.Added {
		kind := int32(TokenUserDefined)
		if a.Special {
			kind = TokenControl
		}
		if err := put(a.ID, a.Content, kind); err != nil {
			return err
		}
	}
	for id, kind := range t.Types {
		if kind == 0 {
			t.Tokens[id], t.Types[id] = fmt.Sprintf("[PAD%d]", id), TokenUnused
		}
	}
	return nil
}

// takeSpecial finds the special ids by their names.
func (t *TokenizerSpec) takeSpecial(f tokenizerFile, conf tokenizerConfig, c Config) {
	ids := map[string]int32{}
	for _, a := range f.Added {
		ids[a.Content] = a.ID
	}
	find := func(id *int32, names ...string) {
		for _, name := range names {
			if got, ok := ids[name]; ok && name != "" {
				*id = got
				return
			}
		}
	}
	if len(c.EOS) > 0 {
		t.EOS = c.EOS[0]
	}
	find(&t.EOS, tokenText(conf.EOS))
	find(&t.EOT, "<|eot_id|>")
	find(&t.EOM, "<|eom_id|>")
	find(&t.Padding, tokenText(conf.Padding), "<|finetune_right_pad_id|>")
	t.AddBOS = t.BOS >= 0 && (conf.AddBOS == nil || *conf.AddBOS)
}

// tokenText is a token given as its text or as an object that holds it.
func tokenText(v jsontext.Value) string {
	var text string
	if v.Kind() == '{' {
		var object struct {
			Content string `json:"content"`
		}
		_ = json.Unmarshal(v, &object)
		return object.Content
	}
	if v.Kind() == '"' {
		_ = json.Unmarshal(v, &text)
	}
	return text
}

// mergeStrings reads merges as "a b" or, in newer files, as ["a","b"].
func mergeStrings(list []jsontext.Value) ([]string, error) {
	merges := make([]string, len(list))
	for i, v := range list {
		if v.Kind() != '[' {
			if err := json.Unmarshal(v, &merges[i]); err != nil {
				return nil, fmt.Errorf("merge %d: %w", i, err)
			}
			continue
		}
		var pair [2]string
		if err := json.Unmarshal(v, &pair); err != nil {
			return nil, fmt.Errorf("merge %d: %w", i, err)
		}
		merges[i] = pair[0] + " " + pair[1]
	}
	return merges, nil
}

// chatTemplate is the text of the template, of the one called default of
// several, or of the file that newer folders hold.
func chatTemplate(dir string, v jsontext.Value) (string, error) {
	if data, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja")); err == nil {
		return string(data), nil
	}
	switch v.Kind() {
	case '"':
		var text string
		return text, json.Unmarshal(v, &text)
	case '[':
		var list []struct {
			Name     string `json:"name"`
			Template string `json:"template"`
		}
		if err := json.Unmarshal(v, &list); err != nil {
			return "", fmt.Errorf("chat_template: %w", err)
		}
		for _, t := range list {
			if t.Name == "default" {
				return t.Template, nil
			}
		}
	}
	return "", nil
}
