package model

import (
	"fmt"

	"align/internal/safetensors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	tokenizerConfigFile = "tokenizer_config.json"
	specialTokensFile   = "special_tokens_map.json"
)

// namesPad are the files of a folder that name the padding token.
var namesPad = []string{tokenizerConfigFile, specialTokensFile}

// PadToken fills up the shorter sequences of a batch. Transformers takes a
// sequence's score at the last token that is another, so that it must end none.
type PadToken struct {
	ID   int32
	Name string
}

// scores says whether the merged model is a sequence classifier.
func (m Merge) scores() bool { return m.Adapter != nil && m.Adapter.Head.Len > 0 }

// scoreTensor is the head [1,C] in float32, as it was trained: in a narrower type
// every score would be another.
func (m *merger) scoreTensor() safetensors.Tensor {
	h := m.Adapter.Head
	return InMemory(m.Values).tensor(ScoreHead, safetensors.F32, []int{1, h.Len}, h.Offset, h.Len)
}

// classifierConfig makes a language model's config.json one of a sequence classifier
// with one label. Without a padding token Transformers scores batches of one alone.
func classifierConfig(data []byte, pad PadToken) ([]byte, error) {
	return withKeys(data, map[string]any{
		"architectures": []string{classifierArchitecture}, "pad_token_id": pad.id(),
		"id2label": map[string]string{"0": "LABEL_0"}, "label2id": map[string]int{"LABEL_0": 0},
	})
}

func (p PadToken) id() any {
	if p.Name == "" {
		return nil
	}
	return p.ID
}

// named is one of namesPad with the token, the same as in config.json:
// with another in the one the score would be taken at padding.
func (p PadToken) named(data []byte) ([]byte, error) {
	if p.Name == "" {
		return withKeys(data, map[string]any{"pad_token": nil})
	}
	return withKeys(data, map[string]any{"pad_token": p.Name})
}

// withKeys is a JSON object with some of its keys replaced.
func withKeys(data []byte, replaced map[string]any) ([]byte, error) {
	keys := map[string]jsontext.Value{}
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, err
	}
	for key, v := range replaced {
		raw, err := json.Marshal(v, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("model: %s: %w", key, err)
		}
		keys[key] = raw
	}
	return marshalConfig(keys)
}
