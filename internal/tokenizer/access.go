package tokenizer

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// Special is the id of an added token by its name.
func (t *Tokenizer) Special(name string) (int32, bool) {
	id, ok := t.added[name]
	return id, ok
}

// IsControl says whether id is a special token, one that ordinary text never
// yields and that no label may hold.
func (t *Tokenizer) IsControl(id int32) bool {
	if id < 0 || int(id) >= len(t.types) {
		return false
	}
	return t.types[id] == Control || t.types[id] == Unknown
}

// VocabSize is the number of ids.
func (t *Tokenizer) VocabSize() int { return len(t.texts) }

// Text is the bytes of a token, a control token's name; "" for an id that
// has no token.
func (t *Tokenizer) Text(id int32) string {
	if id < 0 || int(id) >= len(t.texts) {
		return ""
	}
	return t.texts[id]
}

// AppendDecode appends the bytes of one token to dst. They need not be whole
// characters.
func (t *Tokenizer) AppendDecode(dst []byte, id int32) []byte {
	return append(dst, t.Text(id)...)
}

// Decode is the text of ids, with control tokens by their names. Ids without
// a token give nothing.
func (t *Tokenizer) Decode(ids []int32) string {
	n := 0
	for _, id := range ids {
		n += len(t.Text(id))
	}
	text := make([]byte, 0, n)
	for _, id := range ids {
		text = t.AppendDecode(text, id)
	}
	return string(text)
}

// BOS is the token that begins a text; false if there is none.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS is the token that ends a text; false if there is none.
func (t *Tokenizer) EOS() (int32, bool) { return t.eos, t.eos >= 0 }

// ChatTemplate is the Jinja text that came with the tokenizer; "" if none.
func (t *Tokenizer) ChatTemplate() string { return t.chatTemplate }

// Spec is the tokenizer as lists, as a GGUF file stores them. Ids without a
// token are named [PADn], as llama.cpp's converter does. New makes an equal
// tokenizer of it.
func (t *Tokenizer) Spec() Spec {
	letters := newAlphabet()
	spec := Spec{
		Tokens:       make([]string, len(t.texts)),
		Types:        slices.Clone(t.types),
		Merges:       make([]string, len(t.merges)),
		Added:        maps.Clone(t.rules),
		IgnoreMerges: t.ignoreMerges,
		BOS:          t.Text(t.bos),
		EOS:          t.Text(t.eos),
		ChatTemplate: t.chatTemplate,
	}
	var name []byte
	for id, text := range t.texts {
		switch t.types[id] {
		case Normal:
			name = letters.appendName(name[:0], text)
			spec.Tokens[id] = string(name)
		case Unused:
			spec.Tokens[id] = fmt.Sprintf("[PAD%d]", id)
		default:
			spec.Tokens[id] = text
		}
	}
	for i, pair := range t.merges {
		spec.Merges[i] = spec.Tokens[pair[0]] + " " + spec.Tokens[pair[1]]
	}
	return spec
}

// Hash is the SHA-256, in hexadecimal, of vocabulary, token types, merges,
// IgnoreMerges and the rules of added tokens: two tokenizers of one hash give the same ids.
func (t *Tokenizer) Hash() string {
	h := sha256.New()
	w := bufio.NewWriterSize(h, 1<<16)
	var buf []byte
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(t.texts)))
	for id, text := range t.texts {
		buf = append(buf, byte(t.types[id]))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(text)))
		buf = append(buf, text...)
		w.Write(buf)
		buf = buf[:0]
	}
	for _, pair := range t.merges {
		buf = binary.LittleEndian.AppendUint64(buf[:0], pairKey(pair[0], pair[1]))
		w.Write(buf)
	}
	if t.ignoreMerges {
		w.WriteByte(1)
	}
	for id, kind := range t.types {
		if rule := t.rules[int32(id)]; kind == UserDefined || rule != (AddedRule{}) {
			fmt.Fprintf(w, "%d %v\n", id, rule)
		}
	}
	w.Flush()
	return hex.EncodeToString(h.Sum(nil))
}
