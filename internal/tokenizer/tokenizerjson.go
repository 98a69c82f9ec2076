package tokenizer

import (
	"errors"
	"fmt"

	"align/internal/jsonfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// jsonFile is a tokenizer.json of Hugging Face's tokenizers. Truncation and
// padding are left out: who trains decides on both.
type jsonFile struct {
	AddedTokens   []addedToken   `json:"added_tokens"`
	Normalizer    jsontext.Value `json:"normalizer"`
	PreTokenizer  jsontext.Value `json:"pre_tokenizer"`
	PostProcessor jsontext.Value `json:"post_processor"`
	Decoder       jsontext.Value `json:"decoder"`
	Model         jsonModel      `json:"model"`
}

type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"`
	Special    bool   `json:"special"`
}

// rule is how the token is found; as in Hugging Face's constructor, one that is
// not special is normalized unless the file says otherwise.
func (a *addedToken) rule() AddedRule {
	r := AddedRule{SingleWord: a.SingleWord, LStrip: a.LStrip, RStrip: a.RStrip, Normalized: !a.Special}
	if a.Normalized != nil {
		r.Normalized = *a.Normalized
	}
	return r
}

type jsonModel struct {
	Type                    string         `json:"type"`
	Dropout                 jsontext.Value `json:"dropout"`
	ContinuingSubwordPrefix string         `json:"continuing_subword_prefix"`
	EndOfWordSuffix         string         `json:"end_of_word_suffix"`
	ByteFallback            bool           `json:"byte_fallback"`
	IgnoreMerges            bool           `json:"ignore_merges"`
	Vocab                   vocabulary     `json:"vocab"`
	Merges                  mergeList      `json:"merges"`
}

// parseJSON is the spec of a tokenizer.json's text.
func parseJSON(data []byte) (Spec, error) {
	var f jsonFile
	if err := jsonfile.Unmarshal(data, &f); err != nil {
		return Spec{}, err
	}
	bos, errPipeline := checkPipeline(&f)
	if err := errors.Join(errPipeline, checkModel(&f.Model)); err != nil {
		return Spec{}, err
	}
	spec := Spec{Merges: f.Model.Merges, IgnoreMerges: f.Model.IgnoreMerges, BOS: bos, Added: map[int32]AddedRule{}}
	for _, a := range f.AddedTokens {
		if rule := a.rule(); rule != (AddedRule{}) {
			spec.Added[a.ID] = rule
		}
	}
	var err error
	spec.Tokens, spec.Types, err = joinVocabulary(f.Model.Vocab.entries, f.AddedTokens)
	return spec, err
}

// checkModel refuses models that are not plain byte-level BPE. Files from
// before the key existed have no type.
func checkModel(m *jsonModel) error {
	var errs []error
	if m.Type != "BPE" && m.Type != "" {
		errs = append(errs, fmt.Errorf("model.type %q is not supported: want BPE", m.Type))
	}
	if !isNull(m.Dropout) && string(m.Dropout) != "0.0" && string(m.Dropout) != "0" {
		errs = append(errs, fmt.Errorf("model.dropout %s is not supported: want null", brief(m.Dropout)))
	}
	if m.ContinuingSubwordPrefix != "" {
		errs = append(errs, fmt.Errorf("model.continuing_subword_prefix %q is not supported: want null", m.ContinuingSubwordPrefix))
	}
	if m.EndOfWordSuffix != "" {
		errs = append(errs, fmt.Errorf("model.end_of_word_suffix %q is not supported: want null", m.EndOfWordSuffix))
	}
	if m.ByteFallback {
		errs = append(errs, errors.New("model.byte_fallback is not supported: want false"))
	}
	return errors.Join(errs...)
}

// maxGap is how many ids may lack a token besides half as many as there are
// tokens: files in use have at most some hundred such ids, and a short file must
// not take the memory of a long one.
const maxGap = 1 << 10

// joinVocabulary makes the lists of names and types by id. An added token may
// stand in the vocabulary too, under the same id.
func joinVocabulary(entries []vocabEntry, added []addedToken) ([]string, []TokenType, error) {
	size := int32(0)
	for _, e := range entries {
		size = max(size, e.id+1)
	}
	for i, a := range added {
		if a.ID < 0 || a.ID >= maxTokens {
			return nil, nil, fmt.Errorf("added_tokens[%d], %q: id %d is out of range: 0 to %d", i, a.Content, a.ID, maxTokens-1)
		}
		size = max(size, a.ID+1)
	}
	if tokens := len(entries) + len(added); int(size) > tokens+tokens/2+maxGap {
		return nil, nil, fmt.Errorf("the largest id is %d, with %d tokens: too many ids have none", size-1, tokens)
	}
	names, types := make([]string, size), make([]TokenType, size)
	for i := range types {
		types[i] = Unused
	}
	faults := faultList{}
	for _, e := range entries {
		if types[e.id] != Unused {
			faults.add(fmt.Errorf("model.vocab: %q and %q both have id %d", names[e.id], e.name, e.id))
		}
		names[e.id], types[e.id] = e.name, Normal
	}
	for i, a := range added {
		if types[a.ID] == Control || types[a.ID] == UserDefined || types[a.ID] == Normal && names[a.ID] != a.Content {
			faults.add(fmt.Errorf("added_tokens[%d], %q: id %d belongs to %q", i, a.Content, a.ID, names[a.ID]))
		}
		names[a.ID], types[a.ID] = a.Content, UserDefined
		if a.Special {
			types[a.ID] = Control
		}
	}
	return names, types, faults.join()
}

// vocabulary is the object of names and ids, read as a stream.
type vocabulary struct {
	entries []vocabEntry
}

type vocabEntry struct {
	name string
	id   int32
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (v *vocabulary) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '{' {
		return fmt.Errorf("got %s, want object", kindName(kind))
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		text := name.String()
		id, err := dec.ReadToken()
		if err != nil {
			return err
		}
		n, ok := tokenID(id)
		if !ok {
			return fmt.Errorf("id of %q is %s: want a number from 0 to %d", text, id.String(), maxTokens-1)
		}
		if len(v.entries) == maxTokens {
			return fmt.Errorf("has more than %d tokens", maxTokens)
		}
		v.entries = append(v.entries, vocabEntry{text, n})
	}
	_, err := dec.ReadToken()
	return err
}

// tokenID is the id that a JSON token spells, if it is one in range.
func tokenID(tok jsontext.Token) (int32, bool) {
	text := tok.String()
	if tok.Kind() != '0' || len(text) > 7 {
		return 0, false
	}
	n := int32(0)
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = 10*n + int32(text[i]-'0')
	}
	return n, n < maxTokens
}

// mergeList is the list of merges, each "a b", or ["a", "b"] as newer
// releases write it.
type mergeList []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *mergeList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '[' {
		return fmt.Errorf("got %s, want array", kindName(kind))
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if len(*m) == maxMerges {
			return fmt.Errorf("has more than %d entries", maxMerges)
		}
		merge, err := readMerge(dec)
		if err != nil {
			return err
		}
		*m = append(*m, merge)
	}
	_, err := dec.ReadToken()
	return err
}

// readMerge reads one merge in either spelling.
func readMerge(dec *jsontext.Decoder) (string, error) {
	switch kind := dec.PeekKind(); kind {
	case '"':
		tok, err := dec.ReadToken()
		return tok.String(), err
	case '[':
		var pair []string
		if err := json.UnmarshalDecode(dec, &pair); err != nil {
			return "", err
		}
		if len(pair) != 2 {
			return "", fmt.Errorf("a merge of %d tokens: want 2", len(pair))
		}
		return pair[0] + " " + pair[1], nil
	default:
		if _, err := dec.ReadToken(); err != nil {
			return "", err
		}
		return "", fmt.Errorf("got %s, want \"a b\" or [\"a\", \"b\"]", kindName(kind))
	}
}

// kindName is the word for a kind of JSON value.
func kindName(kind jsontext.Kind) string {
	switch kind {
	case 'n':
		return "null"
	case 't', 'f':
		return "boolean"
	case '0':
		return "number"
	case '"':
		return "string"
	case '[':
		return "array"
	case '{':
		return "object"
	}
	return "malformed value"
}
