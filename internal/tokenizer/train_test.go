package tokenizer

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func texts(list ...string) iter.Seq[string] { return slices.Values(list) }

// TestTrainByHand is the worked example of the Wikipedia article on byte-pair
// encoding, aaabdaaabac: aa, then ab (a tie with the pair of aa and a, which
// has the higher ids), then both.
func TestTrainByHand(t *testing.T) {
	s, err := Train(texts("aaabdaaabac"), 256+8+3)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a a", "a b", "aa ab"}; !slices.Equal(s.Merges, want) {
		t.Errorf("merges %q, want %q", s.Merges, want)
	}
	if want := []string{"aa", "ab", "aaab"}; !slices.Equal(s.Tokens[256:259], want) {
		t.Errorf("tokens %q, want %q", s.Tokens[256:259], want)
	}
}

// TestTrainEqualsTheReference: the merges are those of BpeTrainer of Hugging
// Face's tokenizers 0.21.0 (min_frequency 2, the byte-level alphabet, Llama 3's
// split pattern), ties included.
func TestTrainEqualsTheReference(t *testing.T) {
	const text = "She sells sea shells by the sea shore; the shells she sells are sea shells, I'm sure.\n\n" +
		"So if she sells 1234 shells on the shore, 1234 café guests will sure be there, naïve or not!!!"
	want := []string{
		"Ġ s", "h e", "l l", "ll s", "r e", "Ġs e", "Ġs he", "t he", "Ġ the", "Ġshe lls", "Ġse a", "Ġse lls",
		"! !", "1 2", "h o", "u re", "Ġ b", "Ġ n", "Ġ o", "Ġs ho", "Ġs ure", "12 3", "Ġsho re",
	}
	s, err := Train(texts(text), 256+8+len(want)+1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Merges, want) {
		t.Errorf("merges %q\nwant   %q", s.Merges, want)
	}
}

// TestTrainLayout: bytes as in Llama 3, then merges, then the special tokens.
func TestTrainLayout(t *testing.T) {
	for _, c := range []struct{ size, specials int }{{300, 8}, {8192, 256}} {
		s, err := Train(texts(strings.Repeat("the cat sat on the mat. ", 9)), c.size)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		first := tok.VocabSize() - c.specials
		if s.Tokens[0] != "!" || s.Tokens[255] != "\u0143" || s.Tokens[first] != "<|begin_of_text|>" || s.Tokens[first+1] != "<|end_of_text|>" {
			t.Errorf("%d: order of tokens: %q %q %q %q", c.size, s.Tokens[0], s.Tokens[255], s.Tokens[first], s.Tokens[first+1])
		}
		for _, name := range []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|finetune_right_pad_id|>"} {
			if id, ok := tok.Special(name); !ok || int(id) < first || !tok.IsControl(id) {
				t.Errorf("%d: %s has id %d, %v", c.size, name, id, ok)
			}
		}
		if bos, ok := tok.BOS(); !ok || int(bos) != first {
			t.Errorf("%d: BOS is %d, %v", c.size, bos, ok)
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	if _, err := Train(texts("a"), 263); err == nil || err.Error() != "tokenizer: a vocabulary of 263 tokens: want 264 to 2097152" {
		t.Errorf("too small: %v", err)
	}
	if _, err := Train(texts("", ""), 300); err == nil || err.Error() != "tokenizer: there is no text to learn a vocabulary from" {
		t.Errorf("no text: %v", err)
	}
}

// TestTrainedEncodesAsTrained: encoding a piece makes the merges that training
// made in it, from any text, in any order of the texts, and decodes to the text.
func TestTrainedEncodesAsTrained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[abc ]{1,12}|[a-c]{1,9}é`)
		list := rapid.SliceOfN(word, 1, 40).Draw(t, "texts")
		size := rapid.IntRange(264, 330).Draw(t, "size")
		s, err := Train(slices.Values(list), size)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(list)
		again, err := Train(slices.Values(list), size)
		if err != nil || !slices.Equal(again.Tokens, s.Tokens) || !slices.Equal(again.Merges, s.Merges) {
			t.Fatalf("another order gives another vocabulary: %v", err)
		}
		s.IgnoreMerges = false
		tok, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		trained := newTrainer(countPieces(slices.Values(list)))
		for len(trained.texts)+8 < size && trained.mergeNext() {
		}
		for i, piece := range sortedKeys(countPieces(slices.Values(list))) {
			if got := tok.EncodeOrdinary(nil, piece); !slices.Equal(got, trained.words[i].ids) || tok.Decode(got) != piece {
				t.Fatalf("%q is %v, training has %v", piece, got, trained.words[i].ids)
			}
		}
	})
}

// TestTrainCounts: after all merges the counts are those of a fresh count.
func TestTrainCounts(t *testing.T) {
	trained := newTrainer(countPieces(texts("abababab cdcdcd", "aaaaaaa bcbcbcb abcabc", "aaa ab abc abcd abcde")))
	for range 12 {
		trained.mergeNext()
		fresh := map[uint64]int64{}
		for _, w := range trained.words {
			for i := 1; i < len(w.ids); i++ {
				fresh[pairKey(w.ids[i-1], w.ids[i])] += w.count
			}
		}
		for key, use := range trained.pairs {
			if use.count != fresh[key] {
				t.Fatalf("pair %x counts %d, want %d", key, use.count, fresh[key])
			}
			delete(fresh, key)
		}
		if len(fresh) > 0 {
			t.Fatalf("%d pairs are not counted", len(fresh))
		}
	}
}

// TestWrittenJSON: the loader reads what JSON writes, as the same tokenizer.
func TestWrittenJSON(t *testing.T) {
	s, err := Train(texts("Once upon a time there was a cat.\n\nThe cat's 123 hats, naïve café."), 290)
	if err != nil {
		t.Fatal(err)
	}
	want, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash() != want.Hash() {
		t.Error("another tokenizer is read back")
	}
	gotBOS, _ := got.BOS()
	if wantBOS, _ := want.BOS(); gotBOS != wantBOS {
		t.Errorf("BOS %d, want %d", gotBOS, wantBOS)
	}
}

// BenchmarkTrain learns 8,192 tokens from 10 MB of made-up words whose
// frequencies fall as in a language.
func BenchmarkTrain(b *testing.B) {
	var text strings.Builder
	for i := uint64(1); text.Len() < 10<<20; i++ {
		x := i * 0x9E3779B97F4A7C15
		rank := 1 << (x >> 60) // 1, 2, ... 32768
		fmt.Fprintf(&text, " w%xord%x", x>>40%uint64(rank), uint64(rank)*7)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := Train(texts(text.String()), 8192); err != nil {
			b.Fatal(err)
		}
	}
}
