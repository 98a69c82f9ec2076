package model

import (
	"fmt"
	"slices"

	"align/internal/tokenizer"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Between a tokenizer as GGUF's keys state it and one that encodes.

// llama3Pre are GGUF's names for Llama 3's way to cut text, whose tokens are
// taken whole whatever the merges say (llama.cpp, src/llama-vocab.cpp).
var llama3Pre = []string{"llama-bpe", "llama3", "llama-v3"}

// FolderTokenizer reads the tokenizer of a Hugging Face folder as GGUF's keys
// state it. Ids of the model without a token are unused.
func FolderTokenizer(dir string) (TokenizerSpec, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return TokenizerSpec{}, err
	}
	t, err := tokenizer.Load(dir)
	if err != nil {
		return TokenizerSpec{}, err
	}
	spec := t.Spec()
	if !spec.IgnoreMerges {
		return TokenizerSpec{}, fmt.Errorf("model: %s: the tokenizer does not ignore merges: GGUF has no name for it", dir)
	}
	return specOf(t, spec, c.VocabSize), nil
}

func specOf(t *tokenizer.Tokenizer, spec tokenizer.Spec, vocab int) TokenizerSpec {
	out := TokenizerSpec{
		Model: "gpt2", Pre: llama3Pre[0], Tokens: spec.Tokens, Merges: spec.Merges, ChatTemplate: spec.ChatTemplate,
		BOS: -1, EOS: -1, EOT: -1, EOM: -1, Padding: -1,
	}
	for _, kind := range spec.Types {
		out.Types = append(out.Types, int32(kind))
	}
	for id := len(out.Tokens); id < vocab; id++ {
		out.Tokens = append(out.Tokens, fmt.Sprintf("[PAD%d]", id))
		out.Types = append(out.Types, int32(tokenizer.Unused))
	}
	out.BOS, out.AddBOS = idOr(t.BOS())
	out.EOS, _ = idOr(t.EOS())
	out.EOT, _ = idOr(t.Special("<|eot_id|>"))
	out.EOM, _ = idOr(t.Special("<|eom_id|>"))
	out.Padding, _ = idOr(t.Special("<|finetune_right_pad_id|>"))
	return out
}

func idOr(id int32, ok bool) (int32, bool) {
	if !ok {
		return -1, false
	}
	return id, true
}

// Spec is the tokenizer that encodes as this one does. It is an error if it is
// not Llama 3's kind of byte-level BPE.
func (t TokenizerSpec) Spec() (tokenizer.Spec, error) {
	if t.Model != "gpt2" || !slices.Contains(llama3Pre, t.Pre) {
		return tokenizer.Spec{}, fmt.Errorf("model: tokenizer %q with splitter %q: only gpt2 with one of %v is supported", t.Model, t.Pre, llama3Pre)
	}
	spec := tokenizer.Spec{Tokens: t.Tokens, Merges: t.Merges, IgnoreMerges: true, ChatTemplate: t.ChatTemplate}
	for _, kind := range t.Types {
		spec.Types = append(spec.Types, tokenizer.TokenType(kind))
	}
	spec.BOS, spec.EOS = t.name(t.BOS), t.name(t.EOS)
	return spec, nil
}

// name is the text of a special id; "" if there is none.
func (t TokenizerSpec) name(id int32) string {
	if id < 0 || int(id) >= len(t.Tokens) {
		return ""
	}
	return t.Tokens[id]
}

// files are tokenizer.json and tokenizer_config.json.
func (t TokenizerSpec) files(context int) (tokens, config []byte, err error) {
	spec, err := t.Spec()
	if err != nil {
		return nil, nil, err
	}
	if tokens, err = spec.JSON(); err != nil {
		return nil, nil, err
	}
	config, err = t.configFile(spec, context)
	return tokens, config, err
}

// TokenizerFiles are the tokenizer.json and tokenizer_config.json of a model
// with the tokenizer.
func TokenizerFiles(t *tokenizer.Tokenizer, c Config) (tokens, config []byte, err error) {
	spec := t.Spec()
	if tokens, err = spec.JSON(); err != nil {
		return nil, nil, err
	}
	config, err = specOf(t, spec, c.VocabSize).configFile(spec, c.ContextLength)
	return tokens, config, err
}

func (t TokenizerSpec) configFile(spec tokenizer.Spec, context int) ([]byte, error) {
	keys := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context, "model_input_names": []string{"input_ids", "attention_mask"},
	}
	for key, value := range map[string]string{
		"bos_token": spec.BOS, "eos_token": spec.EOS, "pad_token": t.name(t.Padding), "chat_template": t.ChatTemplate,
	} {
		if value != "" {
			keys[key] = value
		}
	}
	config, err := json.Marshal(keys, jsontext.WithIndent("  "), json.Deterministic(true))
	return append(config, '\n'), err
}
