package tokenizer

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

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
// added token that is not special is found in any text.
func TestLoadJSON(t *testing.T) {
	var hashes []string
	for _, merges := range []string{`["a b"]`, `[["a","b"]]`} {
		tok, err := Load(writeFile(t, "tokenizer.json", jsonOf(merges, "")))
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, tok.Hash())
		if got := tok.EncodeOrdinary(nil, "abx<tool>"); !slices.Equal(got, []int32{256, 'x', 258}) {
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
		{"byte fallback", replace(`"ignore_merges":true`, `"byte_fallback":true`), "byte_fallback"},
		{"dropout", replace(`"ignore_merges":true`, `"dropout":0.1`), "dropout"},
		{"id twice", replace(`"ab":256`, `"ab":255`), "both have id 255"},
		{"name twice", replace(`"ab":256`, `"a":256`), "stands twice"},
		{"id out of range", replace(`"ab":256`, `"ab":4294967296`), "want a number from 0"},
		{"negative id", replace(`"ab":256`, `"ab":-1`), "want a number from 0"},
		{"ids without tokens", replace(`"id":257`, `"id":2000000`), "the largest id is 2000000, with 259 tokens"},
		{"added id out of range", replace(`"id":257`, `"id":2000000000`), "out of range"},
		{"added id taken", replace(`"id":257`, `"id":3`), "belongs to"},
		{"merge of three", replace(`["a b"]`, `[["a","b","c"]]`), "3 tokens"},
		{"merge of numbers", replace(`["a b"]`, `[1]`), "got number"},
		{"vocab as list", replace(`"vocab":{`, `"vocab":[],"x":{`), "model.vocab: got array, want object"},
		{"no JSON", "{", "the JSON ends early"},
		{"a list", "[]", "the file is a list: want an object"},
		{"a text", `"a"`, "the file is a string: want an object"},
		{"a list that ends early", "\n[1", "the file is a list: want an object"},
		{"model: no rank", "YQ==\n", "line 1: want a token"},
		{"model: base64", "Y!== 0\n", "line 1: token"},
		{"model: rank", "YQ== x\n", "is not a number"},
		{"model: order", "YQ== 0\nYg== 2\n", "line 2: rank 2: want 1"},
		{"model: twice", "YQ== 0\nYQ== 1\n", "ranks 0 and 1"},
		{"model: empty token", " 0\n", "0 bytes"},
		{"model: bytes", "YQ== 0\n", "no token for byte"},
		{"empty", "", "holds no tokens"},
		{"pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "Git LFS pointer"},
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

func TestChatTemplateOfAnotherType(t *testing.T) {
	if _, err := templateText(jsontext.Value("5")); err == nil || err.Error() != "chat_template is a number: want a text, or a list of named ones" {
		t.Errorf("got %v", err)
	}
}
