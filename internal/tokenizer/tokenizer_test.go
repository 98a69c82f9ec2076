package tokenizer

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// tiny is a vocabulary of the 256 bytes, the merges given, and three special
// tokens.
func tiny(merges ...string) Spec {
	letters := newAlphabet()
	spec := Spec{IgnoreMerges: true, Merges: merges}
	for b := range 256 {
		spec.Tokens = append(spec.Tokens, string(letters.toRune[b]))
	}
	for _, merge := range merges {
		if whole := strings.Replace(merge, " ", "", 1); !slices.Contains(spec.Tokens, whole) {
			spec.Tokens = append(spec.Tokens, whole)
		}
	}
	spec.Types = slices.Repeat([]TokenType{Normal}, len(spec.Tokens))
	for _, name := range []string{"<s>", "</s>", "<s><s>"} {
		spec.Tokens = append(spec.Tokens, name)
		spec.Types = append(spec.Types, Control)
	}
	return spec
}

func newTiny(t testing.TB, merges ...string) *Tokenizer {
	t.Helper()
	tok, err := New(tiny(merges...))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestMerging(t *testing.T) {
	tests := []struct {
		name   string
		merges []string
		text   string
		want   []string
	}{
		{"none", nil, "abc", []string{"a", "b", "c"}},
		{"rank before place", []string{"b c", "a b"}, "abcx", []string{"a", "bc", "x"}},
		{"leftmost of equals", []string{"a a"}, "aaax", []string{"aa", "a", "x"}},
		{"chain", []string{"a b", "ab c", "d e", "abc de"}, "abcdex", []string{"abcde", "x"}},
		{"space", []string{"Ġ a"}, "b a a", []string{"b", " a", " a"}},
		{"two bytes", []string{"Ã ©"}, "é", []string{"é"}},
	}
	for _, tt := range tests {
		tok := newTiny(t, tt.merges...)
		var got []string
		for _, id := range tok.EncodeOrdinary(nil, tt.text) {
			got = append(got, tok.Text(id))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q gives %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}

// Ensure that a piece that is a token is taken whole where merges are to be
// ignored, and only there.
func TestIgnoreMerges(t *testing.T) {
	spec := tiny("b c", "a b", "ab c")
	for _, ignore := range []bool{true, false} {
		spec.IgnoreMerges = ignore
		tok, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		want := tok.encodeNaive("abc")
		if ignore {
			want = []int32{tok.ids["abc"]}
		}
		if got := tok.EncodeOrdinary(nil, "abc"); !slices.Equal(got, want) {
			t.Errorf("ignore merges %v: got %v, want %v", ignore, got, want)
		}
	}
}

// encodeNaive merges one piece by the definition, pass by pass.
func (t *Tokenizer) encodeNaive(piece string) []int32 {
	var ids []int32
	for i := range len(piece) {
		ids = append(ids, t.byteIDs[piece[i]])
	}
	for {
		bestRank, best, bestID := noRank, -1, int32(0)
		for i := 0; i+1 < len(ids); i++ {
			if rank, merged := t.pairs.find(ids[i], ids[i+1]); rank < bestRank {
				bestRank, best, bestID = rank, i, merged
			}
		}
		if best < 0 {
			return ids
		}
		ids = slices.Replace(ids, best, best+2, bestID)
	}
}

// Ensure that the scan and the heap merge as the definition says.
func TestMergersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]string{"a", "b", "c"})
		words := []string{"a", "b", "c"}
		var merges []string
		for range rapid.IntRange(0, 12).Draw(t, "merges") {
			left := rapid.SampledFrom(words).Draw(t, "left")
			right := rapid.SampledFrom(words).Draw(t, "right")
			if merge := left + " " + right; !slices.Contains(merges, merge) && len(left+right) < 9 {
				merges = append(merges, merge)
				words = append(words, left+right)
			}
		}
		tok, err := New(tiny(merges...))
		if err != nil {
			t.Fatal(err)
		}
		piece := strings.Join(rapid.SliceOfN(letters, 1, scanLimit).Draw(t, "piece"), "")
		want := tok.encodeNaive(piece)
		if got := tok.mergeScan(nil, new(merger), piece); !slices.Equal(got, want) {
			t.Fatalf("scan of %q with %q: got %v, want %v", piece, merges, got, want)
		}
		if got := tok.mergeHeap(nil, new(merger), piece); !slices.Equal(got, want) {
			t.Fatalf("heap of %q with %q: got %v, want %v", piece, merges, got, want)
		}
	})
}

// alternatives is the split pattern for Go's regexp, without the lookahead,
// which splitNaive does by hand.
const alternatives = `^(?:(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^S\p{L}\p{N}]+[\r\n]*|[S]*[\r\n]+|([S]+))`

// whiteSpace is the Unicode property White_Space.
const whiteSpace = `\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}`

// splitNaive cuts text by the pattern through Go's regexp.
func splitNaive(pattern *regexp.Regexp, text string) []string {
	var pieces []string
	for len(text) > 0 {
		m := pattern.FindStringSubmatchIndex(text)
		end := m[1]
		// \s+(?!\S)|\s+ : what follows a run of spaces takes its last one.
		if m[2] >= 0 && end < len(text) {
			runes := []rune(text[:end])
			if len(runes) > 1 {
				end -= len(string(runes[len(runes)-1]))
			}
		}
		pieces = append(pieces, text[:end])
		text = text[end:]
	}
	return pieces
}

func TestSplitterAgainstRegexp(t *testing.T) {
	pattern := regexp.MustCompile(strings.ReplaceAll(alternatives, "S", whiteSpace))
	part := rapid.OneOf(
		rapid.SampledFrom([]string{" ", "  ", "\n", "\r\n", "\t", "'s", "'S", "'ſ", "'ll", "'Re", "'", "a", "Word", "1", "12345", "٣", "½", "é", "日本", "!", "...", "\u00a0", "\u3000", "\u0085", "\u2028", "\u200b", "_", "e\u0301", "🚀", "$"}),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "parts"), "")
		var got []string
		for rest := text; rest != ""; {
			n := nextPiece(rest)
			got = append(got, rest[:n])
			rest = rest[n:]
		}
		if want := splitNaive(pattern, text); !slices.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	})
}

func TestEncodeWithSpecials(t *testing.T) {
	tok := newTiny(t)
	tests := []struct {
		text string
		want string
	}{
		{"", "<s>"},
		{"a", "<s>|a"},
		{"a<s>b", "<s>|a|<s>|b"},
		{"<s><s><s>", "<s>|<s><s>|<s>"},
		{"<s", "<s>|<|s"},
		{"</s></s", "<s>|</s>|<|/|s"},
	}
	for _, tt := range tests {
		var got []string
		for _, id := range tok.Encode(tt.text, true, true) {
			got = append(got, tok.Text(id))
		}
		if joined := strings.Join(got, "|"); joined != tt.want {
			t.Errorf("%q gives %s, want %s", tt.text, joined, tt.want)
		}
	}
	if ids := tok.Encode("<s>", false, false); slices.ContainsFunc(ids, tok.IsControl) {
		t.Errorf("ordinary <s> gives control ids %v", ids)
	}
}

// Ensure that bytes which are no text survive, and that ids out of range give
// nothing.
func TestDecode(t *testing.T) {
	tok := newTiny(t)
	for _, text := range []string{"", "\xff\xfe", "a\x00b", "\xe2\x82", "日本"} {
		if got := tok.Decode(tok.EncodeOrdinary(nil, text)); got != text {
			t.Errorf("%q decodes to %q", text, got)
		}
	}
	if got := tok.Decode([]int32{-1, int32(tok.VocabSize()), 1 << 30}); got != "" {
		t.Errorf("ids out of range decode to %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	change := func(f func(*Spec)) Spec {
		spec := tiny("a b")
		f(&spec)
		return spec
	}
	tests := []struct {
		name string
		spec Spec
		want string
	}{
		{"empty", Spec{}, "0 tokens"},
		{"types", change(func(s *Spec) { s.Types = s.Types[1:] }), "token types for"},
		{"type", change(func(s *Spec) { s.Types[3] = 6 }), "type 6 is not supported"},
		{"repeat", change(func(s *Spec) { s.Tokens[256] = "a" }), "are both"},
		{"alphabet", change(func(s *Spec) { s.Tokens[256] = "a b" }), "byte-level alphabet"},
		{"byte", change(func(s *Spec) { s.Tokens[0] = "zz" }), "no token for byte 0x00"},
		{"merge of three", change(func(s *Spec) { s.Merges = []string{"a b c"} }), "byte-level alphabet"},
		{"merge of one", change(func(s *Spec) { s.Merges = []string{"ab"} }), "want two tokens"},
		{"merge of unknown", change(func(s *Spec) { s.Merges = []string{"a c"} }), "not an ordinary token"},
		{"merge twice", change(func(s *Spec) { s.Merges = []string{"a b", "a b"} }), "merge 1"},
		{"BOS", change(func(s *Spec) { s.BOS = "a" }), `BOS is "a"`},
		{"EOS", change(func(s *Spec) { s.EOS = "<e>" }), `EOS is "<e>"`},
		{"empty special", change(func(s *Spec) { s.Tokens[257] = "" }), "is empty"},
		{"many faults", change(func(s *Spec) { s.Merges = slices.Repeat([]string{"x"}, 50) }), "40 faults more"},
	}
	for _, tt := range tests {
		if _, err := New(tt.spec); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

// Ensure that encoding in many goroutines at once gives what one gives.
func TestConcurrentUse(t *testing.T) {
	tok := newTiny(t, "a b", "ab a")
	text := strings.Repeat("abab ba", 40) + strings.Repeat("ab", 200)
	want := tok.EncodeOrdinary(nil, text)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got := tok.EncodeOrdinary(nil, text); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	group.Wait()
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	tok := newTiny(t, "a b", "ab a")
	text := strings.Repeat("abab ba", 40) + strings.Repeat("ab", 200)
	ids := tok.EncodeOrdinary(nil, text)
	allocs := testing.AllocsPerRun(100, func() { ids = tok.EncodeOrdinary(ids[:0], text) })
	// The garbage collector may empty the pool of scratch memory once.
	if allocs > 0.5 {
		t.Errorf("%v allocations per call, want 0", allocs)
	}
}
