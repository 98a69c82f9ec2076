package tokenizer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// maxTokenBytes bounds one token of a tokenizer.model: every cut of a token
// is tried, and Llama 3's longest has 128 bytes.
const maxTokenBytes = 1 << 10

// numSpecials is how many special tokens follow the ranks of Llama 3
// (models/llama3/tokenizer.py, num_reserved_special_tokens).
const numSpecials = 256

// parseModel is the spec of Meta's tokenizer.model: lines "BASE64 RANK",
// where the rank is the id. The merges are all cuts of each token into two
// tokens, in the order of Hugging Face's conversion: by the token's rank, then
// by the ranks of its parts. The special tokens follow under their names of
// Llama 3.1, unless names, by id, says otherwise.
func parseModel(data []byte, names map[int32]string) (Spec, error) {
	texts, err := readRanks(data)
	if err != nil {
		return Spec{}, err
	}
	letters := newAlphabet()
	ids := make(map[string]int32, len(texts))
	spec := Spec{Tokens: make([]string, len(texts), len(texts)+numSpecials), IgnoreMerges: true}
	var name []byte
	for id, text := range texts {
		if first, ok := ids[text]; ok {
			return Spec{}, fmt.Errorf("ranks %d and %d are both %q", first, id, text)
		}
		ids[text] = int32(id)
		name = letters.appendName(name[:0], text)
		spec.Tokens[id] = string(name)
	}
	if spec.Merges, err = cutAll(texts, ids, spec.Tokens); err != nil {
		return Spec{}, err
	}
	spec.Types = slices.Repeat([]TokenType{Normal}, len(texts))
	for i := range numSpecials {
		name := specialName(i)
		if given, ok := names[int32(len(texts)+i)]; ok {
			name = given
		}
		spec.Tokens = append(spec.Tokens, name)
		spec.Types = append(spec.Types, Control)
	}
	return spec, nil
}

// readRanks reads the texts in the order of their ranks, which ascend by 1.
func readRanks(data []byte) ([]string, error) {
	var texts []string
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		text, rank, err := readRank(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", number, err)
		case rank != len(texts):
			return nil, fmt.Errorf("line %d: rank %d: want %d", number, rank, len(texts))
		case len(texts) == maxTokens-numSpecials:
			return nil, fmt.Errorf("line %d: more than %d tokens", number, maxTokens-numSpecials)
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return nil, errors.New("the file holds no tokens")
	}
	return texts, nil
}

// readRank reads "BASE64 RANK".
func readRank(line []byte) (text string, rank int, err error) {
	code, digits, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return "", 0, errors.New("want a token in base64, one space and its rank")
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, code)
	if err != nil {
		return "", 0, fmt.Errorf("token: %w", err)
	}
	if len(raw) == 0 || len(raw) > maxTokenBytes {
		return "", 0, fmt.Errorf("token has %d bytes: want 1 to %d", len(raw), maxTokenBytes)
	}
	if rank, err = strconv.Atoi(string(digits)); err != nil {
		return "", 0, fmt.Errorf("rank %q is not a number", digits)
	}
	return string(raw), rank, nil
}

// cutAll lists the merges of all tokens.
func cutAll(texts []string, ids map[string]int32, names []string) ([]string, error) {
	var merges []string
	var cuts [][2]int32
	for _, text := range texts {
		cuts = cuts[:0]
		for i := 1; i < len(text); i++ {
			left, okLeft := ids[text[:i]]
			if !okLeft {
				continue
			}
			if right, ok := ids[text[i:]]; ok {
				cuts = append(cuts, [2]int32{left, right})
			}
		}
		slices.SortFunc(cuts, func(a, b [2]int32) int { return slices.Compare(a[:], b[:]) })
		for _, c := range cuts {
			merges = append(merges, names[c[0]]+" "+names[c[1]])
		}
		if len(merges) > maxMerges {
			return nil, fmt.Errorf("more than %d merges", maxMerges)
		}
	}
	return merges, nil
}

// specialName is the name of the special token i of Llama 3.1 in Hugging
// Face's files (convert_llama_weights_to_hf.py of transformers).
func specialName(i int) string {
	switch i {
	case 0:
		return "<|begin_of_text|>"
	case 1:
		return "<|end_of_text|>"
	case 4:
		return "<|finetune_right_pad_id|>"
	case 6:
		return "<|start_header_id|>"
	case 7:
		return "<|end_header_id|>"
	case 8:
		return "<|eom_id|>"
	case 9:
		return "<|eot_id|>"
	case 10:
		return "<|python_tag|>"
	}
	reserved := i - 8 // eight names before the tokens from 11 on
	switch {
	case i < 4:
		reserved = i - 2
	case i == 5:
		reserved = 2
	}
	return fmt.Sprintf("<|reserved_special_token_%d|>", reserved)
}
