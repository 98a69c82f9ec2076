package tokenizer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

const (
	// maxTokens bounds the vocabulary: eight times the largest in use
	// (262,144, Gemma 3).
	maxTokens = 1 << 21
	// maxMerges bounds the merges: Llama 3 has 280,147 for 128,000 tokens.
	maxMerges = 1 << 23
	// maxFaults bounds the list of faults in one error.
	maxFaults = 10
)

// TokenType is the kind of a token, numbered as in GGUF
// (tokenizer.ggml.token_type).
type TokenType int32

const (
	// Normal is a token of ordinary text, named in the byte-level alphabet.
	Normal TokenType = 1
	// Unknown stands for text without a token; never encoded.
	Unknown TokenType = 2
	// Control is a special token, named literally.
	Control TokenType = 3
	// UserDefined is an added token that is not special, named literally. It is
	// found in any text.
	UserDefined TokenType = 4
	// Unused is an id without a token.
	Unused TokenType = 5
)

// Spec is a tokenizer as lists, in the form in which GGUF stores them.
type Spec struct {
	// Tokens are the names by id.
	Tokens []string
	// Types are the kinds by id; nil means all [Normal].
	Types []TokenType
	// Added are the rules of added tokens by id; one that is not there has
	// [AddedRule]'s zero.
	Added map[int32]AddedRule
	// Merges are pairs of names with one space between, first merged first.
	Merges []string
	// IgnoreMerges takes a piece that is a token as that token, whatever the
	// merges say. Llama 3 sets it.
	IgnoreMerges bool
	// BOS and EOS are the names of the tokens that begin and end a text; ""
	// means the usual name, if the vocabulary has it.
	BOS, EOS string
	// ChatTemplate is the Jinja text of the chat template; "" is none.
	ChatTemplate string
}

// Tokenizer encodes and decodes. It is immutable and safe for concurrent use.
type Tokenizer struct {
	texts        []string // raw bytes by id; the name for added tokens
	types        []TokenType
	merges       [][2]int32
	ignoreMerges bool

	ids     map[string]int32 // raw bytes of Normal tokens
	byteIDs [256]int32
	pairs   pairTable
	mergers sync.Pool

	added     map[string]int32 // names of Control, Unknown and UserDefined tokens
	rules     map[int32]AddedRule
	addedSets [2]addedSet // those that are not normalized, those that are

	bos, eos     int32 // -1 if none
	chatTemplate string
}

// New builds a tokenizer. It refuses a vocabulary with names that repeat or
// are not in the byte-level alphabet, without one of the 256 bytes, and
// merges of unknown tokens or that repeat.
func New(spec Spec) (*Tokenizer, error) {
	if err := checkCounts(spec); err != nil {
		return nil, err
	}
	t := &Tokenizer{
		texts:        make([]string, len(spec.Tokens)),
		types:        slices.Clone(spec.Types),
		ignoreMerges: spec.IgnoreMerges,
		ids:          make(map[string]int32, len(spec.Tokens)),
		added:        map[string]int32{},
		rules:        maps.Clone(spec.Added),
		chatTemplate: spec.ChatTemplate,
	}
	t.mergers.New = func() any { return new(merger) }
	if t.types == nil {
		t.types = slices.Repeat([]TokenType{Normal}, len(spec.Tokens))
	}
	letters := newAlphabet()
	if err := t.addTokens(letters, spec.Tokens); err != nil {
		return nil, err
	}
	if err := t.findBytes(); err != nil {
		return nil, err
	}
	if err := t.addMerges(letters, spec.Merges); err != nil {
		return nil, err
	}
	return t, t.chooseEnds(spec)
}

func checkCounts(spec Spec) error {
	var faults []error
	if n := len(spec.Tokens); n == 0 || n > maxTokens {
		faults = append(faults, fmt.Errorf("tokenizer: vocabulary has %d tokens: want 1 to %d", n, maxTokens))
	}
	if spec.Types != nil && len(spec.Types) != len(spec.Tokens) {
		faults = append(faults, fmt.Errorf("tokenizer: %d token types for %d tokens", len(spec.Types), len(spec.Tokens)))
	}
	if n := len(spec.Merges); n > maxMerges {
		faults = append(faults, fmt.Errorf("tokenizer: vocabulary has %d merges: limit %d", n, maxMerges))
	}
	return errors.Join(faults...)
}

// addTokens enters every token under its text.
func (t *Tokenizer) addTokens(letters *alphabet, names []string) error {
	faults := faultList{}
	var raw []byte
	for id, name := range names {
		switch t.types[id] {
		case Normal:
			var err error
			if raw, err = letters.appendBytes(raw[:0], name); err != nil {
				faults.add(fmt.Errorf("tokenizer: token %d, %q: %w", id, name, err))
				continue
			}
			t.texts[id] = string(raw)
			faults.add(enter(t.ids, t.texts[id], int32(id)))
		case Control, Unknown, UserDefined:
			t.texts[id] = name
			faults.add(enter(t.added, name, int32(id)))
		case Unused:
			// Kept as a number only; its name is made up when it is listed.
		default:
			faults.add(fmt.Errorf("tokenizer: token %d, %q: type %d is not supported", id, name, t.types[id]))
		}
	}
	t.indexAdded()
	return faults.join()
}

// enter adds a token to a map of texts.
func enter(ids map[string]int32, text string, id int32) error {
	if text == "" {
		return fmt.Errorf("tokenizer: token %d is empty", id)
	}
	if first, ok := ids[text]; ok {
		return fmt.Errorf("tokenizer: tokens %d and %d are both %q", first, id, text)
	}
	ids[text] = id
	return nil
}

// findBytes finds the token of each byte, from which merging starts.
func (t *Tokenizer) findBytes() error {
	faults := faultList{}
	for b := range 256 {
		id, ok := t.ids[string([]byte{byte(b)})]
		if !ok {
			faults.add(fmt.Errorf("tokenizer: vocabulary has no token for byte 0x%02X", b))
		}
		t.byteIDs[b] = id
	}
	return faults.join()
}

// addMerges enters the merges in their order.
func (t *Tokenizer) addMerges(letters *alphabet, merges []string) error {
	t.pairs = newPairTable(len(merges))
	t.merges = make([][2]int32, 0, len(merges))
	faults := faultList{}
	var raw []byte
	for rank, merge := range merges {
		left, right, ok := strings.Cut(merge, " ")
		if !ok || left == "" || right == "" {
			faults.add(fmt.Errorf("tokenizer: merge %d, %q: want two tokens with one space between", rank, merge))
			continue
		}
		var errLeft, errRight error
		raw, errLeft = letters.appendBytes(raw[:0], left)
		cut := len(raw)
		raw, errRight = letters.appendBytes(raw, right)
		if err := errors.Join(errLeft, errRight); err != nil {
			faults.add(fmt.Errorf("tokenizer: merge %d, %q: %w", rank, merge, err))
			continue
		}
		if err := t.addMerge(int32(rank), raw, cut); err != nil {
			faults.add(fmt.Errorf("tokenizer: merge %d, %q: %w", rank, merge, err))
		}
	}
	return faults.join()
}

// addMerge enters the merge of raw[:cut] and raw[cut:].
func (t *Tokenizer) addMerge(rank int32, raw []byte, cut int) error {
	left, okLeft := t.word(raw[:cut])
	right, okRight := t.word(raw[cut:])
	merged, okMerged := t.word(raw)
	if !okLeft || !okRight || !okMerged {
		return errors.New("a part or the whole is not an ordinary token")
	}
	if !t.pairs.add(left, right, rank, merged) {
		return errors.New("the pair has a merge before")
	}
	t.merges = append(t.merges, [2]int32{left, right})
	return nil
}

// word is the token of a merge, or of a part of one: an ordinary token, or one
// of the model that was added once more.
func (t *Tokenizer) word(raw []byte) (int32, bool) {
	if id, ok := t.ids[string(raw)]; ok {
		return id, true
	}
	id, ok := t.added[string(raw)]
	if !ok || t.types[id] != UserDefined {
		return 0, false
	}
	t.ids[t.texts[id]] = id
	return id, true
}

// chooseEnds finds BOS and EOS by name, or else under the usual ones.
func (t *Tokenizer) chooseEnds(spec Spec) error {
	var errBOS, errEOS error
	t.bos, errBOS = t.end("BOS", spec.BOS, "<|begin_of_text|>", "<s>")
	t.eos, errEOS = t.end("EOS", spec.EOS, "<|end_of_text|>", "</s>", "<|endoftext|>")
	return errors.Join(errBOS, errEOS)
}

func (t *Tokenizer) end(what, name string, usual ...string) (int32, error) {
	if name != "" {
		if id, ok := t.Special(name); ok {
			return id, nil
		}
		return -1, fmt.Errorf("tokenizer: %s is %q, which is no special token", what, name)
	}
	for _, name := range usual {
		if id, ok := t.Special(name); ok {
			return id, nil
		}
	}
	return -1, nil
}

// faultList gathers the first faults of a list.
type faultList struct {
	faults []error
	more   int
}

func (f *faultList) add(err error) {
	switch {
	case err == nil:
	case len(f.faults) < maxFaults:
		f.faults = append(f.faults, err)
	default:
		f.more++
	}
}

func (f *faultList) join() error {
	if f.more > 0 {
		f.faults = append(f.faults, fmt.Errorf("tokenizer: and %d faults more", f.more))
	}
	return errors.Join(f.faults...)
}
