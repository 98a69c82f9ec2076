package tokenizer

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
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

// jsonOf is a small tokenizer.json with the merges and extra members given.
func jsonOf(merges, extra string) string {
	letters := newAlphabet()
	var vocab []string
	for b := range 256 {
		vocab = append(vocab, fmt.Sprintf("%q:%d", string(letters.toRune[b]), b))
	}
	return `{` + extra + `"added_tokens":[{"id":257,"content":"<s>","special":true},{"id":258,"content":"<tool>","special":false}],
"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"` + strings.ReplaceAll(splitPattern, `\`, `\\`) + `"},"behavior":"Isolated","invert":false},
{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]},
"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","ignore_merges":true,"vocab":{` + strings.Join(vocab, ",") + `,"ab":256},"merges":` + merges + `}}`
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ensure that both spellings of merges are the same tokenizer, and that an
// added token that is not special is parsed on demand only.
func TestLoadJSON(t *testing.T) {
	var hashes []string
	for _, merges := range []string{`["a b"]`, `[["a","b"]]`} {
		tok, err := Load(writeFile(t, "tokenizer.json", jsonOf(merges, "")))
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, tok.Hash())
		if got := tok.EncodeOrdinary(nil, "abx<tool>"); got[0] != 256 || slices.Contains(got, 258) {
			t.Errorf("merges %s: %v", merges, got)
		}
		if got := tok.Encode("<tool>", false, true); !slices.Equal(got, []int32{258}) || tok.IsControl(258) || !tok.IsControl(257) {
			t.Errorf("<tool> gives %v, control: %v", got, tok.IsControl(258))
		}
	}
	if hashes[0] != hashes[1] {
		t.Errorf("hashes %s", hashes)
	}
}

func TestLoadRefuses(t *testing.T) {
	good := jsonOf(`["a b"]`, "")
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	tests := []struct{ name, text, want string }{
		{"normalizer", jsonOf(`[]`, `"normalizer":{"type":"NFC"},`), `normalizer {"type":"NFC"} is not supported`},
		{"pre-tokenizer", replace(`"Sequence"`, `"Whitespace"`), "pre_tokenizer"},
		{"pattern", replace(`{1,3}`, `{1,2}`), "pattern"},
		{"use_regex", replace(`"use_regex":false`, `"use_regex":true`), "use_regex"},
		{"prefix space", replace(`"add_prefix_space":false`, `"add_prefix_space":true`), "add_prefix_space"},
		{"decoder", replace(`"decoder":{"type":"ByteLevel"}`, `"decoder":null`), "decoder null"},
		{"post-processor", jsonOf(`[]`, `"post_processor":{"type":"BertProcessing"},`), "post_processor"},
		{"model", replace(`"BPE"`, `"Unigram"`), `model.type "Unigram"`},
		{"lstrip", replace(`"special":false`, `"special":false,"lstrip":true`), "lstrip"},
		{"byte fallback", replace(`"ignore_merges":true`, `"byte_fallback":true`), "byte_fallback"},
		{"dropout", replace(`"ignore_merges":true`, `"dropout":0.1`), "dropout"},
		{"id twice", replace(`"ab":256`, `"ab":255`), "both have id 255"},
		{"name twice", replace(`"ab":256`, `"a":256`), "duplicate"},
		{"id out of range", replace(`"ab":256`, `"ab":4294967296`), "want a number from 0"},
		{"negative id", replace(`"ab":256`, `"ab":-1`), "want a number from 0"},
		{"added id out of range", replace(`"id":257`, `"id":2000000000`), "out of range"},
		{"added id taken", replace(`"id":257`, `"id":3`), "belongs to"},
		{"merge of three", replace(`["a b"]`, `[["a","b","c"]]`), "3 tokens"},
		{"merge of numbers", replace(`["a b"]`, `[1]`), "got number"},
		{"vocab as list", replace(`"vocab":{`, `"vocab":[],"x":{`), "model.vocab: got array, want object"},
		{"no JSON", "{", "unexpected EOF"},
		{"model: no rank", "YQ==\n", "line 1: want a token"},
		{"model: base64", "Y!== 0\n", "line 1: token"},
		{"model: rank", "YQ== x\n", "is not a number"},
		{"model: order", "YQ== 0\nYg== 2\n", "line 2: rank 2: want 1"},
		{"model: twice", "YQ== 0\nYQ== 1\n", "ranks 0 and 1"},
		{"model: empty token", " 0\n", "0 bytes"},
		{"model: bytes", "YQ== 0\n", "no token for byte"},
		{"empty", "", "holds no tokens"},
	}
	for _, tt := range tests {
		_, err := Load(writeFile(t, "tokenizer.json", tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "neither tokenizer.json nor") {
		t.Errorf("empty folder: error %v", err)
	}
}

func TestSideFiles(t *testing.T) {
	tests := []struct {
		name     string
		files    map[string]string
		bos, eos int32
		template string
	}{
		{"none", nil, 257, -1, ""},
		{"config ids", map[string]string{"config.json": `{"bos_token_id":258,"eos_token_id":[3,258]}`}, 258, 258, ""},
		{"names before ids", map[string]string{
			"tokenizer_config.json": `{"bos_token":{"content":"<tool>"},"eos_token":"<s>","chat_template":"T"}`,
			"config.json":           `{"bos_token_id":257,"eos_token_id":258}`,
		}, 258, 257, "T"},
		{"named templates", map[string]string{"tokenizer_config.json": `{"chat_template":[{"name":"rag","template":"R"},{"name":"default","template":"D"}]}`}, 257, -1, "D"},
		{"jinja", map[string]string{"tokenizer_config.json": `{"chat_template":"T"}`, "chat_template.jinja": "J"}, 257, -1, "J"},
		{"nulls", map[string]string{"tokenizer_config.json": `{"bos_token":null,"chat_template":null,"eos_token_id":null}`}, 257, -1, ""},
	}
	for _, tt := range tests {
		path := writeFile(t, "tokenizer.json", jsonOf(`[]`, ""))
		for name, text := range tt.files {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tok, err := Load(filepath.Dir(path))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		bos, _ := tok.BOS()
		eos, _ := tok.EOS()
		if bos != tt.bos || eos != tt.eos || tok.ChatTemplate() != tt.template {
			t.Errorf("%s: BOS %d, EOS %d, template %q, want %d, %d, %q", tt.name, bos, eos, tok.ChatTemplate(), tt.bos, tt.eos, tt.template)
		}
	}
}

// modelOf is a small tokenizer.model: the bytes and the tokens given.
func modelOf(tokens ...string) string {
	var b strings.Builder
	for i := range 256 {
		tokens = slices.Insert(tokens, i, string([]byte{byte(i)}))
	}
	for rank, text := range tokens {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(text)), rank)
	}
	return b.String()
}

// Ensure that tokenizer.model merges by the rank of the concatenation.
func TestLoadModel(t *testing.T) {
	path := writeFile(t, "tokenizer.model", modelOf("bc", "ab", "abc"))
	tok, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Spec().Merges, []string{"b c", "a b", "a bc", "ab c"}; !slices.Equal(got, want) {
		t.Errorf("merges %q, want %q", got, want)
	}
	if id, ok := tok.Special("<|reserved_special_token_247|>"); !ok || id != 259+255 {
		t.Errorf("the last special token has id %d, %v, want %d", id, ok, 259+255)
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(jsonOf(`["a b"]`, "")))
	f.Add([]byte(jsonOf(`[["a","b"]]`, `"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}]},`)))
	f.Add([]byte(`{"model":{"vocab":{"a":1e3},"merges":[[1]]}}`))
	f.Add([]byte(`{"added_tokens":[{"id":2097151,"content":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if spec, err := parseJSON(data); err == nil {
			checkUse(t, spec)
		}
	})
}

func FuzzParseModel(f *testing.F) {
	f.Add([]byte(modelOf("ab", "abc")))
	f.Add([]byte("YQ== 0\r\nYg== 1"))
	f.Add([]byte("= 0\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if spec, err := parseModel(data, nil); err == nil {
			checkUse(t, spec)
		}
	})
}

// checkUse makes a tokenizer of a spec, if it is one, and uses it.
func checkUse(t *testing.T, spec Spec) {
	tok, err := New(spec)
	if err != nil {
		return
	}
	const text = "abc <s> 12'S\n\n x"
	if got := tok.Decode(tok.EncodeOrdinary(nil, text)); got != text {
		t.Errorf("%q decodes to %q", text, got)
	}
	again, err := New(tok.Spec())
	if err != nil {
		t.Fatalf("its own lists are refused: %v", err)
	}
	if again.Hash() != tok.Hash() {
		t.Error("its own lists have another hash")
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "abab", "a\n\n b", "'ſ", "\xff", "<s>", strings.Repeat("ab", 60), "1234 ½", "\u3000\u0085x"} {
		f.Add(s)
	}
	tok := newTiny(f, "a b", "ab ab", "Ġ a")
	f.Fuzz(func(t *testing.T, text string) {
		ids := tok.EncodeOrdinary(nil, text)
		if slices.ContainsFunc(ids, tok.IsControl) {
			t.Errorf("%q gives control ids: %v", text, ids)
		}
		if got := tok.Decode(ids); got != text {
			t.Errorf("%q decodes to %q", text, got)
		}
		if got := tok.Decode(tok.Encode(text, false, true)); got != text {
			t.Errorf("with specials, %q decodes to %q", text, got)
		}
	})
}
