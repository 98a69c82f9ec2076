package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// jsonOut is a tokenizer.json with Llama 3's pipeline, in the order of its keys
// in Hugging Face's files.
type jsonOut struct {
	Version       string         `json:"version"`
	Truncation    jsontext.Value `json:"truncation"`
	Padding       jsontext.Value `json:"padding"`
	AddedTokens   []addedOut     `json:"added_tokens"`
	Normalizer    jsontext.Value `json:"normalizer"`
	PreTokenizer  any            `json:"pre_tokenizer"`
	PostProcessor any            `json:"post_processor"`
	Decoder       any            `json:"decoder"`
	Model         modelOut       `json:"model"`
}

type addedOut struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type modelOut struct {
	Type         string         `json:"type"`
	Dropout      jsontext.Value `json:"dropout"`
	UnkToken     jsontext.Value `json:"unk_token"`
	Prefix       jsontext.Value `json:"continuing_subword_prefix"`
	Suffix       jsontext.Value `json:"end_of_word_suffix"`
	FuseUnk      bool           `json:"fuse_unk"`
	ByteFallback bool           `json:"byte_fallback"`
	IgnoreMerges bool           `json:"ignore_merges"`
	Vocab        vocabularyOut  `json:"vocab"`
	Merges       []string       `json:"merges"`
}

// vocabularyOut writes the names with their ids, in the order of the ids.
type vocabularyOut struct{ spec *Spec }

// MarshalJSONTo implements json.MarshalerTo.
func (v vocabularyOut) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	merged := v.spec.mergedNames()
	for id, name := range v.spec.Tokens {
		if kind := v.spec.typeOf(id); kind != Normal && !(kind == UserDefined && merged[name]) {
			continue
		}
		if err := errors.Join(enc.WriteToken(jsontext.String(name)), enc.WriteToken(jsontext.Int(int64(id)))); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// mergedNames are the names that the merges make: an added token among them is
// one of the model too.
func (s *Spec) mergedNames() map[string]bool {
	names := make(map[string]bool, len(s.Merges))
	for _, merge := range s.Merges {
		left, right, _ := strings.Cut(merge, " ")
		names[left+right] = true
	}
	return names
}

func (s *Spec) typeOf(id int) TokenType {
	if s.Types == nil {
		return Normal
	}
	return s.Types[id]
}

// JSON is the tokenizer as a tokenizer.json, with Llama 3's splitter and BOS
// before every text. The loader of this package and Hugging Face's read it.
func (s Spec) JSON() ([]byte, error) {
	if _, err := New(s); err != nil {
		return nil, err
	}
	null := jsontext.Value("null")
	out := jsonOut{
		Version: "1.0", Truncation: null, Padding: null, Normalizer: null,
		PreTokenizer: preTokenizerOut(), PostProcessor: byteLevelOut(true, false),
		Decoder: byteLevelOut(true, true),
		Model: modelOut{
			Type: "BPE", Dropout: null, UnkToken: null, Prefix: null, Suffix: null,
			IgnoreMerges: s.IgnoreMerges, Vocab: vocabularyOut{&s}, Merges: s.Merges,
		},
	}
	for id, name := range s.Tokens {
		if t := s.typeOf(id); t == Control || t == UserDefined {
			r := s.Added[int32(id)]
			out.AddedTokens = append(out.AddedTokens, addedOut{id, name, r.SingleWord, r.LStrip, r.RStrip, r.Normalized, t == Control})
		}
	}
	if s.BOS != "" {
		out.PostProcessor = s.postProcessorOut()
	}
	data, err := json.Marshal(out, json.Deterministic(true), json.FormatNilSliceAsNull(false), jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	return append(data, '\n'), nil
}

type object map[string]any

func byteLevelOut(prefixSpace, trimOffsets bool) object {
	return object{"type": "ByteLevel", "add_prefix_space": prefixSpace, "trim_offsets": trimOffsets, "use_regex": true}
}

func preTokenizerOut() object {
	split := object{"type": "Split", "pattern": object{"Regex": splitPattern}, "behavior": "Isolated", "invert": false}
	level := byteLevelOut(false, true)
	level["use_regex"] = false
	return object{"type": "Sequence", "pretokenizers": []any{split, level}}
}

// postProcessorOut puts BOS before a text, and before each of a pair.
func (s *Spec) postProcessorOut() object {
	bos := func(sequence int) object { return object{"SpecialToken": object{"id": s.BOS, "type_id": sequence}} }
	text := func(name string, sequence int) object {
		return object{"Sequence": object{"id": name, "type_id": sequence}}
	}
	id := slices.Index(s.Tokens, s.BOS)
	return object{"type": "Sequence", "processors": []any{
		byteLevelOut(true, false),
		object{
			"type":           "TemplateProcessing",
			"single":         []any{bos(0), text("A", 0)},
			"pair":           []any{bos(0), text("A", 0), bos(1), text("B", 1)},
			"special_tokens": object{s.BOS: object{"id": s.BOS, "ids": []int{id}, "tokens": []string{s.BOS}}},
		},
	}}
}
