package tokenizer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/internal/fixture"
	"align/internal/tokenizer"
)

func load(t testing.TB, parts ...string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(fixture.Path(t, parts...))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func loadLlama3(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	return load(t, "data", "llama3-tokenizer", "hf-3.1-instruct")
}

func TestGoldenTokenize(t *testing.T) {
	data, err := os.ReadFile(fixture.Path(t, "golden", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Tokenize []struct {
			Kind         string
			Text         string
			BOS, Special bool
			IDs          []int32
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Tokenize) != 280 {
		t.Fatalf("%d cases, want 280", len(golden.Tokenize))
	}
	tok := loadLlama3(t)
	for i, c := range golden.Tokenize {
		got := tok.Encode(c.Text, c.BOS, c.Special)
		if !slices.Equal(got, c.IDs) {
			t.Errorf("case %d, %s, %.80q:\ngot  %v\nwant %v", i, c.Kind, c.Text, got, c.IDs)
		}
		if c.BOS {
			got = got[1:]
		}
		if text := tok.Decode(got); text != c.Text {
			t.Errorf("case %d, %s: decodes to %.80q, want %.80q", i, c.Kind, text, c.Text)
		}
	}
}

// Ensure that tokenizer.model gives the same tokenizer as the tokenizer.json
// made of it.
func TestModelEqualsJSON(t *testing.T) {
	model := load(t, "data", "llama3-tokenizer", "tokenizer.model")
	file := loadLlama3(t)
	if got, want := model.Hash(), file.Hash(); got != want {
		t.Errorf("hash of tokenizer.model %s, of tokenizer.json %s", got, want)
	}
	if got := model.VocabSize(); got != 128256 {
		t.Errorf("VocabSize() = %d, want 128256", got)
	}
}

// Ensure that the special strings in a text are ordinary text.
func TestSpecialStringsAreOrdinaryText(t *testing.T) {
	tok := loadLlama3(t)
	for i := range int32(256) {
		name := tok.Text(128000 + i)
		text := fmt.Sprintf("Hi %s%s", name, name)
		ids := tok.EncodeOrdinary(nil, text)
		if slices.ContainsFunc(ids, tok.IsControl) {
			t.Errorf("%q yields control ids: %v", text, ids)
		}
		if got := tok.Decode(ids); got != text {
			t.Errorf("%q decodes to %q", text, got)
		}
		if got, want := tok.Encode(name, false, true), []int32{128000 + i}; !slices.Equal(got, want) {
			t.Errorf("Encode(%q) with specials = %v, want %v", name, got, want)
		}
	}
}

func TestEndsAndTemplate(t *testing.T) {
	tests := []struct {
		folder   []string
		bos, eos int32
		template bool
	}{
		{[]string{"data", "llama3-tokenizer", "hf-3.1-instruct"}, 128000, 128009, true},
		{[]string{"data", "llama3-tokenizer", "tokenizer.model"}, 128000, 128001, false},
		{[]string{"data", "stories260K"}, 1, 2, false},
		{[]string{"data", "stories260K-chat"}, 512, 521, false},
	}
	for _, tt := range tests {
		tok := load(t, tt.folder...)
		if id, ok := tok.BOS(); !ok || id != tt.bos {
			t.Errorf("%v: BOS() = %d, %v, want %d", tt.folder, id, ok, tt.bos)
		}
		if id, ok := tok.EOS(); !ok || id != tt.eos {
			t.Errorf("%v: EOS() = %d, %v, want %d", tt.folder, id, ok, tt.eos)
		}
		if got := tok.ChatTemplate() != ""; got != tt.template {
			t.Errorf("%v: has a chat template: %v, want %v", tt.folder, got, tt.template)
		}
	}
}

// Ensure that the lists which a GGUF file stores make the same tokenizer.
func TestSpecRoundTrip(t *testing.T) {
	for _, folder := range []string{"stories260K", "stories260K-chat", "llama3-tokenizer/hf-3.1-instruct"} {
		tok := load(t, "data", folder)
		again, err := tokenizer.New(tok.Spec())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := again.Hash(), tok.Hash(); got != want {
			t.Errorf("%s: hash %s after a round trip, want %s", folder, got, want)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	folder := fixture.Path(b, "data", "llama3-tokenizer", "hf-3.1-instruct")
	for _, name := range []string{"tokenizer.json", "../tokenizer.model"} {
		b.Run("file="+filepath.Base(name), func(b *testing.B) {
			for b.Loop() {
				if _, err := tokenizer.Load(filepath.Join(folder, name)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := loadLlama3(b)
	text, err := os.ReadFile(fixture.Path(b, "data", "datasets", "alpaca-1500.json"))
	if err != nil {
		b.Fatal(err)
	}
	long := slices.Repeat([]byte("qzxwvkj"), 100_000/7)
	for name, text := range map[string]string{"alpaca": string(text), "run": string(long)} {
		b.Run("text="+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			ids := tok.EncodeOrdinary(nil, text)
			for b.Loop() {
				ids = tok.EncodeOrdinary(ids[:0], text)
			}
		})
	}
}
