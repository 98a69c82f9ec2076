package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// addedJSON is a tokenizer.json with added tokens of every kind: the 256 bytes,
// ab 256, abc 257 by merging, and what follows.
func addedJSON() string {
	text := strings.Replace(jsonOf(`["a b","ab c"]`, ""), `"ab":256`, `"ab":256,"abc":257`, 1)
	from, to := strings.Index(text, `"added_tokens"`), strings.Index(text, `"pre_tokenizer"`)
	return text[:from] + `"added_tokens":[
{"id":257,"content":"abc","special":false,"normalized":true},
{"id":258,"content":"<s>","special":true,"normalized":false},
{"id":259,"content":"<tool>","special":false,"normalized":true},
{"id":260,"content":"<mask>","special":false,"normalized":false,"lstrip":true},
{"id":261,"content":"<r>","special":false,"normalized":true,"rstrip":true},
{"id":262,"content":"foo","special":false,"single_word":true},
{"id":263,"content":"<s","special":false,"normalized":false},
{"id":264,"content":" pre","special":false,"normalized":true},
{"id":265,"content":"<both>","special":false,"normalized":true,"single_word":true,"lstrip":true,"rstrip":true},
{"id":266,"content":"ol>z","special":false,"normalized":false},
{"id":267,"content":"<e>","special":true,"normalized":true,"lstrip":true,"rstrip":true}
],` + text[to:]
}

// TestAddedTokens: the ids are those of Hugging Face's tokenizers 0.23.3,
// Tokenizer.from_file of the same file and encode(text,
// add_special_tokens=False) with encode_special_tokens set (ordinary text) and
// not (special).
func TestAddedTokens(t *testing.T) {
	tok, err := Load(writeFile(t, "tokenizer.json", addedJSON()))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text              string
		ordinary, special []int32
	}{
		{"a<tool>b", []int32{97, 259, 98}, nil},
		{"  <tool>  ", []int32{32, 32, 259, 32, 32}, nil},
		{"a <mask> b", []int32{97, 260, 32, 98}, nil},
		{"\n\t<mask><mask>", []int32{260, 260}, nil},
		{"a \u3000<mask>", []int32{97, 260}, nil},
		{"a<r>  \n b", []int32{97, 261, 98}, nil},
		{"foo", []int32{262}, nil},
		{"foo.", []int32{262, 46}, nil},
		{"xfoo", []int32{120, 102, 111, 111}, nil},
		{"foo1", []int32{102, 111, 111, 49}, nil},
		{"foo_", []int32{102, 111, 111, 95}, nil},
		{"ét foo é", []int32{195, 169, 116, 32, 262, 32, 195, 169}, nil},
		{"fooé", []int32{102, 111, 111, 195, 169}, nil},
		{"\u200dfoo", []int32{226, 128, 141, 102, 111, 111}, nil},
		{"<s>", []int32{60, 115, 62}, []int32{258}},
		{"a<s>b", []int32{97, 60, 115, 62, 98}, []int32{97, 258, 98}},
		{"<sx", []int32{263, 120}, nil},
		{"<s <s>", []int32{263, 32, 60, 115, 62}, []int32{263, 32, 258}},
		{"<r> pre", []int32{261, 264}, nil},
		{"<r>   pre pre", []int32{261, 264, 264}, nil},
		{" <both> ", []int32{265}, nil},
		{"x<both> ", []int32{120, 60, 98, 111, 116, 104, 62, 32}, nil},
		{"abcabc", []int32{257, 257}, nil},
		{"ab c", []int32{256, 32, 99}, nil},
		{"<tool>z", []int32{60, 116, 111, 266}, nil},
		{"a <e> b", []int32{97, 32, 60, 101, 62, 32, 98}, []int32{97, 267, 98}},
	} {
		if got := tok.EncodeOrdinary(nil, tt.text); !slices.Equal(got, tt.ordinary) {
			t.Errorf("%q gives %v, want %v", tt.text, got, tt.ordinary)
		}
		want := tt.special
		if want == nil {
			want = tt.ordinary
		}
		if got := tok.Encode(tt.text, false, true); !slices.Equal(got, want) {
			t.Errorf("with special tokens %q gives %v, want %v", tt.text, got, want)
		}
	}
}

// TestAddedTokensAreWritten: the rules and the merges of an added token come
// back from tokenizer.json, and are part of the hash.
func TestAddedTokensAreWritten(t *testing.T) {
	want, err := Load(writeFile(t, "tokenizer.json", addedJSON()))
	if err != nil {
		t.Fatal(err)
	}
	data, err := want.Spec().JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(writeFile(t, "tokenizer.json", string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash() != want.Hash() {
		t.Error("another tokenizer is read back")
	}
	other, err := Load(writeFile(t, "tokenizer.json", strings.Replace(addedJSON(), `,"rstrip":true`, "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if other.Hash() == want.Hash() {
		t.Error("a tokenizer of another rule has the same hash")
	}
}

// FuzzAddedTokens: no text gives a control id, whatever stands around it.
func FuzzAddedTokens(f *testing.F) {
	for _, s := range []string{"", "<s>", "<s<s>", " <e> ", "<r>  pre", "<r>\xff", "foo<both>", "\xff<mask>", "<tool>z<s>"} {
		f.Add(s)
	}
	tok, err := Load(writeFile(f, "tokenizer.json", addedJSON()))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if ids := tok.EncodeOrdinary(nil, text); slices.ContainsFunc(ids, tok.IsControl) {
			t.Errorf("%q gives control ids: %v", text, ids)
		}
		tok.Encode(text, false, true)
	})
}
