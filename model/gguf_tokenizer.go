package model

import (
	"errors"
	"fmt"

	"align/internal/gguf"
)

// Keys of a tokenizer in GGUF.
const (
	keyTokenizer = "tokenizer.ggml.model"
	keyPre       = "tokenizer.ggml.pre"
	keyTokens    = "tokenizer.ggml.tokens"
	keyTypes     = "tokenizer.ggml.token_type"
	keyMerges    = "tokenizer.ggml.merges"
	keyBOS       = "tokenizer.ggml.bos_token_id"
	keyEOS       = "tokenizer.ggml.eos_token_id"
	keyEOT       = "tokenizer.ggml.eot_token_id"
	keyEOM       = "tokenizer.ggml.eom_token_id"
	keyPadding   = "tokenizer.ggml.padding_token_id"
	keyAddBOS    = "tokenizer.ggml.add_bos_token"
	keyTemplate  = "tokenizer.chat_template"
)

// TokenizerSpec is a tokenizer as plain data: GGUF's keys.
type TokenizerSpec struct {
	// Model is the kind, "gpt2" for byte-level BPE; Pre names the splitter,
	// "llama-bpe" for Llama 3.
	Model, Pre string
	// Tokens are the texts by id, bytes in GPT-2's printable form but for
	// control tokens; Types are their kinds (tokenizer.TokenType), nil if the
	// file does not say.
	Tokens []string
	Types  []int32
	// Merges are pairs "left right" in the order in which they apply.
	Merges []string
	// Ids of special tokens; -1: none.
	BOS, EOS, EOT, EOM, Padding int32
	// AddBOS puts BOS before every text.
	AddBOS bool
	// ChatTemplate is Jinja source; "" if there is none.
	ChatTemplate string
}

// GGUFTokenizer reads the tokenizer of a GGUF model as plain data.
func GGUFTokenizer(path string) (TokenizerSpec, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return TokenizerSpec{}, err
	}
	defer f.Close()
	spec, err := tokenizerOf(&f.Metadata)
	if err != nil {
		return TokenizerSpec{}, fmt.Errorf("model: %s: %w", path, err)
	}
	return spec, nil
}

func tokenizerOf(m *gguf.Metadata) (TokenizerSpec, error) {
	k := ggufKeys{Metadata: m}
	t := TokenizerSpec{
		Model: required(&k, m.String, keyTokenizer), Tokens: required(&k, m.Strings, keyTokens), Merges: required(&k, m.Strings, keyMerges),
		Pre: optional(&k, m.String, keyPre), ChatTemplate: optional(&k, m.String, keyTemplate),
		AddBOS: optional(&k, m.Bool, keyAddBOS), Types: optional(&k, m.Int32s, keyTypes),
	}
	for key, id := range t.ids() {
		*id = int32(k.intOr(key, -1))
		if *id < -1 || int(*id) >= len(t.Tokens) {
			k.note(fmt.Errorf("%s is %d, there are %d tokens", key, *id, len(t.Tokens)))
		}
	}
	if t.Types != nil && len(t.Types) != len(t.Tokens) {
		k.note(fmt.Errorf("%s has %d elements, there are %d tokens", keyTypes, len(t.Types), len(t.Tokens)))
	}
	return t, errors.Join(k.errs...)
}

// ids are the special ids by key.
func (t *TokenizerSpec) ids() map[string]*int32 {
	return map[string]*int32{keyBOS: &t.BOS, keyEOS: &t.EOS, keyEOT: &t.EOT, keyEOM: &t.EOM, keyPadding: &t.Padding}
}

func required[T any](k *ggufKeys, get func(string) (T, error), key string) T {
	v, err := get(key)
	k.note(err)
	return v
}

func optional[T any](k *ggufKeys, get func(string) (T, error), key string) T {
	v, err := get(key)
	if !errors.Is(err, gguf.ErrMissing) {
		k.note(err)
	}
	return v
}

// pairs are the keys that say all of it.
func (t *TokenizerSpec) pairs() []gguf.KV {
	list := []gguf.KV{{Key: keyTokenizer, Value: t.Model}}
	if t.Pre != "" {
		list = append(list, gguf.KV{Key: keyPre, Value: t.Pre})
	}
	list = append(list, gguf.KV{Key: keyTokens, Value: t.Tokens})
	if t.Types != nil {
		list = append(list, gguf.KV{Key: keyTypes, Value: t.Types})
	}
	list = append(list, gguf.KV{Key: keyMerges, Value: t.Merges})
	ids := t.ids()
	for _, key := range []string{keyBOS, keyEOS, keyPadding, keyEOT, keyEOM} {
		if id := *ids[key]; id >= 0 {
			list = append(list, gguf.KV{Key: key, Value: uint32(id)})
		}
	}
	list = append(list, gguf.KV{Key: keyAddBOS, Value: t.AddBOS})
	if t.ChatTemplate != "" {
		list = append(list, gguf.KV{Key: keyTemplate, Value: t.ChatTemplate})
	}
	return list
}
