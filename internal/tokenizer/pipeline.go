package tokenizer

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The steps around the model of a tokenizer.json. Only Llama 3's are
// implemented, so the checks here refuse all others by the field's name.

// step is any pre-tokenizer, post-processor or decoder: the fields that
// change ids or text.
type step struct {
	Type           string         `json:"type"`
	Pretokenizers  []step         `json:"pretokenizers"`
	Processors     []step         `json:"processors"`
	Pattern        jsontext.Value `json:"pattern"`
	Behavior       string         `json:"behavior"`
	Invert         bool           `json:"invert"`
	AddPrefixSpace *bool          `json:"add_prefix_space"`
	UseRegex       *bool          `json:"use_regex"`
	Single         []templatePart `json:"single"`
}

// templatePart is one part of a TemplateProcessing; one field is set.
type templatePart struct {
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

// isNull says whether a JSON value is absent or null.
func isNull(v jsontext.Value) bool {
	return len(v) == 0 || v.Kind() == 'n'
}

// checkPipeline refuses steps that are not Llama 3's; bos is the name of the
// token that the post-processor puts first, "" if none.
func checkPipeline(f *jsonFile) (bos string, err error) {
	var errNormalizer, errPost error
	if !isNull(f.Normalizer) {
		errNormalizer = fmt.Errorf("normalizer %s is not supported: want null", brief(f.Normalizer))
	}
	bos, errPost = checkPostProcessor(f.PostProcessor)
	return bos, errors.Join(errNormalizer, checkPreTokenizer(f.PreTokenizer), errPost, checkDecoder(f.Decoder))
}

// checkPreTokenizer wants Sequence[Split(pattern), ByteLevel].
func checkPreTokenizer(raw jsontext.Value) error {
	unsupported := fmt.Errorf("pre_tokenizer %s is not supported: want Llama 3's split pattern and ByteLevel", brief(raw))
	var s step
	if isNull(raw) || json.Unmarshal(raw, &s) != nil || s.Type != "Sequence" || len(s.Pretokenizers) != 2 {
		return unsupported
	}
	split, level := s.Pretokenizers[0], s.Pretokenizers[1]
	if split.Type != "Split" || split.Behavior != "Isolated" || split.Invert || level.Type != "ByteLevel" {
		return unsupported
	}
	var pattern struct {
		Regex string `json:"Regex"`
	}
	if json.Unmarshal(split.Pattern, &pattern) != nil || pattern.Regex != splitPattern {
		return fmt.Errorf("pre_tokenizer.pretokenizers[0].pattern %s is not supported: want Llama 3's", brief(split.Pattern))
	}
	// Absent flags are true in the format.
	if level.AddPrefixSpace == nil || *level.AddPrefixSpace {
		return errors.New("pre_tokenizer.pretokenizers[1].add_prefix_space is not supported: want false")
	}
	if level.UseRegex == nil || *level.UseRegex {
		return errors.New("pre_tokenizer.pretokenizers[1].use_regex is not supported: want false")
	}
	return nil
}

// checkPostProcessor accepts ByteLevel, which changes no id, and a template
// that puts one token before the text.
func checkPostProcessor(raw jsontext.Value) (bos string, err error) {
	if isNull(raw) {
		return "", nil
	}
	unsupported := fmt.Errorf("post_processor %s is not supported: want one special token before the text", brief(raw))
	var s step
	if json.Unmarshal(raw, &s) != nil {
		return "", unsupported
	}
	steps := []step{s}
	if s.Type == "Sequence" {
		steps = s.Processors
	}
	for _, s := range steps {
		switch {
		case s.Type == "ByteLevel":
		case s.Type == "TemplateProcessing" && bos == "" && isPlainTemplate(s.Single):
			if first := s.Single[0].SpecialToken; first != nil {
				bos = first.ID
			}
		default:
			return "", unsupported
		}
	}
	return bos, nil
}

// isPlainTemplate says whether the parts are the text, with at most one
// special token before it.
func isPlainTemplate(parts []templatePart) bool {
	switch len(parts) {
	case 1:
		return parts[0].Sequence != nil
	case 2:
		return parts[0].SpecialToken != nil && parts[1].Sequence != nil
	}
	return false
}

func checkDecoder(raw jsontext.Value) error {
	var s step
	if isNull(raw) || json.Unmarshal(raw, &s) != nil || s.Type != "ByteLevel" {
		return fmt.Errorf("decoder %s is not supported: want ByteLevel", brief(raw))
	}
	return nil
}

// briefBytes is how much of a refused value an error shows.
const briefBytes = 60

// brief is the start of a JSON value on one line.
func brief(raw jsontext.Value) string {
	if isNull(raw) {
		return "null"
	}
	v := raw.Clone()
	if v.Compact() != nil {
		v = raw
	}
	if len(v) <= briefBytes {
		return string(v)
	}
	return string(bytes.ToValidUTF8(v[:briefBytes], nil)) + "..."
}
