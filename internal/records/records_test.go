package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// write puts data into a file of the name and returns its path.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readAll reads a file to its end: a line for each record, "!" before errors.
// The folder is cut from the places.
func readAll(path string) (out []string) {
	shorten := func(s string) string { return strings.ReplaceAll(s, filepath.Dir(path)+string(filepath.Separator), "") }
	r, err := Open(path)
	if err != nil {
		return []string{"! " + shorten(err.Error())}
	}
	defer r.Close()
	for {
		record, err := r.Next()
		var bad *RecordError
		switch {
		case err == io.EOF:
			return out
		case errors.As(err, &bad):
			out = append(out, "? "+shorten(err.Error()))
		case err != nil:
			return append(out, "! "+shorten(err.Error()))
		default:
			out = append(out, shorten(record.Place.String())+" "+string(record.AppendJSON(nil)))
		}
	}
}

func TestText(t *testing.T) {
	cases := []struct {
		name, file, text string
		want             []string
	}{
		{"lines", "a.jsonl", "{\"a\":1}\n\n \t\r\n{\"a\":\"x\"}", []string{`a.jsonl:1 {"a":1}`, `a.jsonl:4 {"a":"x"}`}},
		{"byte order mark and CRLF", "a.jsonl", "\xef\xbb\xbf{\"a\":1}\r\n{\"a\":2}\r\n", []string{`a.jsonl:1 {"a":1}`, `a.jsonl:2 {"a":2}`}},
		{"mark only at the start", "a.jsonl", "{\"a\":1}\n\xef\xbb\xbf{\"a\":2}\n", []string{`a.jsonl:1 {"a":1}`, "? a.jsonl:2: bad JSON at byte 1: invalid character '\\ufeff' at start of value"}},
		{"UTF-16", "a.jsonl", "\xff\xfe{\x00}\x00", []string{"! a.jsonl: the text is UTF-16: want UTF-8"}},
		{"UTF-16 without a mark", "a.csv", "a\x00,\x00b\x00", []string{"! a.csv: the text is UTF-16: want UTF-8"}},
		{"UTF-16 without a mark, the other way round", "a.jsonl", "\x00{\x00}", []string{"! a.jsonl: the text is UTF-16: want UTF-8"}},
		{"U+2028 ends no line", "a.jsonl", "{\"a\":\"x\u2028y\"}\n", []string{"a.jsonl:1 {\"a\":\"x\u2028y\"}"}},
		{"a lone CR ends no line", "a.jsonl", "{\"a\":1}\r{\"a\":2}", []string{"? a.jsonl:1: bad JSON: something follows the object"}},
		{"a bad line costs no other", "a.jsonl", "{\"a\":}\n{\"a\":2}\n", []string{"? a.jsonl:1: bad JSON at byte 6: invalid character '}' at start of value", `a.jsonl:2 {"a":2}`}},
		{"what Python writes", "a.jsonl", "{\"a\":NaN}\n{\"a\":-Infinity}\n{'a':1}\n{\"a\":None}\n", []string{
			"? a.jsonl:1: bad JSON at byte 6: invalid character 'N' at start of value: JSON has no NaN, write null or leave the field out",
			"? a.jsonl:2: bad JSON at byte 7: invalid character 'I' in number (expecting digit): JSON has no Infinity, write null or leave the field out",
			"? a.jsonl:3: bad JSON at byte 2: invalid character '\\'' at start of value: texts stand in double quotes",
			"? a.jsonl:4: bad JSON at byte 6: invalid character 'N' at start of value: JSON has null, true and false",
		}},
		{"cut line", "a.jsonl", "{\"a\":\"x\n", []string{"? a.jsonl:1: bad JSON: it ends early"}},
		{"a key twice", "a.jsonl", `{"a":1,"a":2}`, []string{`? a.jsonl:1: bad JSON: key "a" stands twice`}},
		{"a key twice, nested", "a.jsonl", `{"m":[{"b":1,"b":2}]}`, []string{`? a.jsonl:1: bad JSON: key "b" stands twice`}},
		{"keys differ in case", "a.jsonl", `{"a":1,"A":2}`, []string{`a.jsonl:1 {"a":1,"A":2}`}},
		{"invalid UTF-8", "a.jsonl", "{\"a\":\"x\xff\"}", []string{"? a.jsonl:1: invalid UTF-8 at byte 8"}},
		{"overlong UTF-8", "a.jsonl", "{\"a\":\"\xc0\xaf\"}", []string{"? a.jsonl:1: invalid UTF-8 at byte 7"}},
		{"surrogate as UTF-8", "a.jsonl", "{\"a\":\"\xed\xa0\x80\"}", []string{"? a.jsonl:1: invalid UTF-8 at byte 7"}},
		{"lone surrogate", "a.jsonl", `{"a":"\ud800"}`, []string{"? a.jsonl:1: bad JSON at byte 7: invalid surrogate pair `\\ud800\"}` in string"}},
		{"NUL", "a.jsonl", "{\"a\":1}\x00", []string{"? a.jsonl:1: bad JSON: something follows the object"}},
		{"control character in a string", "a.jsonl", "{\"a\":\"\x01\"}", []string{"? a.jsonl:1: bad JSON at byte 7: invalid character '\\x01' in string (expecting non-control character)"}},
		{"trailing comma", "a.jsonl", `{"a":1,}`, []string{"? a.jsonl:1: bad JSON at byte 7: invalid character ',' at start of value"}},
		{"two on a line", "a.jsonl", `{"a":1}{"a":2}`, []string{"? a.jsonl:1: bad JSON: something follows the object"}},
		{"no object", "a.jsonl", "3\n\"x\"\nnull\ntrue\n{\"a\":1}", []string{
			"? a.jsonl:1: the record is a number: want an object", "? a.jsonl:2: the record is a string: want an object",
			"? a.jsonl:3: the record is null: want an object", "? a.jsonl:4: the record is a boolean: want an object", `a.jsonl:5 {"a":1}`}},
		{"deep", "a.jsonl", `{"a":` + strings.Repeat("[", 20000), []string{"? a.jsonl:1: bad JSON at byte 10005: exceeded max depth"}},
		{"large numbers stay text", "a.jsonl", `{"a":1e400}`, []string{`a.jsonl:1 {"a":1e400}`}},
		{"empty", "a.jsonl", "", nil},
		{"empty array", "a.json", "[]", nil},
		{"array", "a.json", "\n[{\"a\":1},\n{\"a\":[2]} ]\n", []string{`a.json: record 1 {"a":1}`, `a.json: record 2 {"a":[2]}`}},
		{"array under the name of lines", "a.jsonl", `[{"a":1}]`, []string{`a.jsonl: record 1 {"a":1}`}},
		{"array with a faulty record", "a.json", "[{\"a\":1,\"a\":2},{\"a\":\"\xff\"},7,{\"a\":3}]", []string{
			`? a.json: record 1: bad JSON: key "a" stands twice`, "? a.json: record 2: invalid UTF-8 at byte 7",
			"? a.json: record 3: the record is a number: want an object", `a.json: record 4 {"a":3}`}},
		{"cut array", "a.json", `[{"a":1},{"a"`, []string{`a.json: record 1 {"a":1}`, "! a.json: record 2: bad JSON: it ends early"}},
		{"array without its end", "a.json", `[{"a":1}`, []string{`a.json: record 1 {"a":1}`, "! a.json: record 2: bad JSON: it ends early"}},
		{"broken array", "a.json", `[{"a":1} {"a":2}]`, []string{`a.json: record 1 {"a":1}`, "! a.json: record 2: bad JSON at byte 10: invalid character '{' after array element (expecting ',' or ']')"}},
		{"lines under the name of JSON", "a.json", "{\"a\":1}\n{\"a\":2}\n", []string{`a.json:1 {"a":1}`, `a.json:2 {"a":2}`}},
		{"objects one after another", "a.json", "{\n \"a\": 1\n}\n{\n \"a\": 2\n}", []string{`a.json: record 1 {"a":1}`, `a.json: record 2 {"a":2}`}},
		{"no ending", "data", `{"a":1}`, []string{`data:1 {"a":1}`}},
		{"plain text", "a.txt", "one\ntwo", []string{`! a.txt: unknown format ".txt": want .json, .jsonl, .csv, .tsv or .parquet, also with .gz or .zst; of plain text, .jsonl with a line {"text": "..."} for each`}},
		{"unknown", "a.docx", "PK\x03\x04", []string{`! a.docx: unknown format ".docx": want .json, .jsonl, .csv, .tsv or .parquet, also with .gz or .zst`}},
		{"CSV", "a.csv", "p,c\n1,\"x, \"\"y\"\"\"\n", []string{`a.csv:2 {"p":"1","c":"x, \"y\""}`}},
		{"CSV of Excel", "a.csv", "\xef\xbb\xbfp;c\r\n1,5;\"two\r\nlines\"\r\nx;y\r\n", []string{`a.csv:2 {"p":"1,5","c":"two\nlines"}`, `a.csv:4 {"p":"x","c":"y"}`}},
		{"CSV with sep=", "a.csv", "sep=;\r\np;c,d\r\n1;2\r\n", []string{`a.csv:3 {"p":"1","c,d":"2"}`}},
		{"CSV with commas in quotes", "a.csv", "\"a,b,c\";d\n1;2\n", []string{`a.csv:2 {"a,b,c":"1","d":"2"}`}},
		{"CSV with a row index", "a.csv", ",p\n0,x\n", []string{`a.csv:2 {"p":"x"}`}},
		{"CSV row of another length", "a.csv", "p,c\n1\n1,2\n1,2,3\n", []string{"? a.csv:2: the row has 1 fields, the header 2", `a.csv:3 {"p":"1","c":"2"}`, "? a.csv:4: the row has 3 fields, the header 2"}},
		{"CSV quote in a field", "a.csv", "p,c\nx\"y,2\n1,2\n", []string{"? a.csv:2: bad quoting at column 2: bare \" in non-quoted-field", `a.csv:3 {"p":"1","c":"2"}`}},
		{"CSV quote without end", "a.csv", "p,c\n1,\"x\n1,2\n", []string{"! a.csv:2: a quoted field that begins in this row is not closed rightly at line 3"}},
		{"CSV of lone carriage returns", "a.csv", "p,q\r1,2\r", []string{`! a.csv:1: lines end in a carriage return alone: save the file with LF or CRLF`}},
		{"CSV column twice", "a.csv", "p,p\n1,2\n", []string{`! a.csv:1: column "p" stands twice in the header`}},
		{"CSV in Latin-1", "a.csv", "p,c\n1,caf\xe9\n1,2\n", []string{`? a.csv:2: "c" has invalid UTF-8 at byte 4`, `a.csv:3 {"p":"1","c":"2"}`}},
		{"CSV header alone", "a.csv", "p,c\n", nil},
		{"empty CSV", "a.csv", "", nil},
		{"TSV", "a.tsv", "p\tc\n1,2\tx;y\n", []string{`a.tsv:2 {"p":"1,2","c":"x;y"}`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, packed := range []func([]byte) (string, []byte){plain, gzipped, zstded} {
				ending, data := packed([]byte(c.text))
				path := write(t, c.file+ending, data)
				var want []string
				for _, line := range c.want {
					want = append(want, strings.Replace(line, c.file, c.file+ending, 1))
				}
				if diff := cmp.Diff(want, readAll(path)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.file+ending, diff)
				}
			}
		})
	}
}

func plain(data []byte) (string, []byte) { return "", data }

func gzipped(data []byte) (string, []byte) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return ".gz", b.Bytes()
}

func zstded(data []byte) (string, []byte) {
	z, _ := zstd.NewWriter(nil)
	return ".zst", z.EncodeAll(data, nil)
}

func TestCompression(t *testing.T) {
	text := []byte(`{"a":1}` + "\n" + `{"a":2}` + "\n")
	_, gz := gzipped(text)
	_, zst := zstded(text)
	var long []byte
	for i := range 5000 {
		long = fmt.Appendf(long, "{\"a\":%d}\n", i*7919%10007)
	}
	_, longGz := gzipped(long)
	_, longZst := zstded(long)
	cases := []struct {
		name, file string
		data       []byte
		last       string
		records    int
	}{
		{"two members", "a.jsonl.gz", append(append([]byte(nil), gz...), gz...), "", 4},
		{"two frames", "a.jsonl.zst", append(append([]byte(nil), zst...), zst...), "", 4},
		{"compressed without the ending", "a.jsonl", gz, "", 2},
		{"ending without compression", "a.jsonl.gz", text, "! a.jsonl.gz: the name says gzip, the content is not", 0},
		{"nothing", "a.jsonl.gz", nil, "! a.jsonl.gz: the name says gzip, the content is not", 0},
		{"truncated gzip header", "a.jsonl.gz", gz[:6], "! a.jsonl.gz: the compressed data is truncated", 0},
		{"truncated zstd", "a.jsonl.zst", zst[:8], "! a.jsonl.zst: the compressed data is truncated", 0},
		{"gzip without its checksum", "a.jsonl.gz", gz[:len(gz)-6], "the compressed data is truncated", -1},
		{"half a gzip", "a.jsonl.gz", longGz[:len(longGz)/2], "the compressed data is truncated", -1},
		{"half a zstd", "a.jsonl.zst", longZst[:len(longZst)/2], "the compressed data is truncated", -1},
		{"half a gzipped table", "a.csv.gz", longGz[:len(longGz)/2], "the compressed data is truncated", -1},
		{"rubbish behind gzip", "a.jsonl.gz", append(append([]byte(nil), gz...), "rubbish that is no gzip"...), "bad gzip data: gzip: invalid header", -1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := readAll(write(t, c.file, c.data))
			if c.last == "" {
				if len(got) != c.records || strings.Contains(strings.Join(got, ""), "! ") {
					t.Errorf("got %q, want %d records", got, c.records)
				}
				return
			}
			if len(got) == 0 || !strings.HasSuffix(got[len(got)-1], c.last) || !strings.HasPrefix(got[len(got)-1], "! ") {
				t.Errorf("got %q, want the last to end with %q", got[max(0, len(got)-2):], c.last)
			}
		})
	}
}

// A flipped bit in compressed data is found by its checksum, never read over.
func TestCompressionChecksum(t *testing.T) {
	_, data := gzipped([]byte(strings.Repeat(`{"a":1}`+"\n", 100)))
	data[len(data)-6] ^= 1
	got := readAll(write(t, "a.jsonl.gz", data))
	if last := got[len(got)-1]; !strings.Contains(last, "bad gzip data") {
		t.Errorf("got %q", last)
	}
}

func TestBombs(t *testing.T) {
	blank := make([]byte, 1<<20)
	for i := range blank {
		blank[i] = ' '
	}
	bomb := func(pack func(io.Writer) io.WriteCloser, start string) []byte {
		var b bytes.Buffer
		z := pack(&b)
		io.WriteString(z, start)
		for range 200 {
			z.Write(blank)
		}
		z.Close()
		return b.Bytes()
	}
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zst := func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }
	for _, c := range []struct {
		name, file string
		data       []byte
		want       string
	}{
		{"a line of blanks", "a.jsonl.gz", bomb(gz, ""), "longer than 64 MiB"},
		{"a string without end", "a.jsonl.zst", bomb(zst, `{"a":"`), "grows to more than 200 times"},
		{"an element without end", "a.json.gz", bomb(gz, `[{"a":"`), "longer than 64 MiB"},
		{"a cell without end", "a.csv.gz", bomb(gz, "a,b\n\""), "longer than 32 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(readAll(write(t, c.file, c.data)), "\n")
			if !strings.Contains(got, c.want) && !strings.Contains(got, "grows to more than") {
				t.Errorf("got %.200q, want %q", got, c.want)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("folder: got %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none.jsonl")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: got %v", err)
	}
}

func TestLongLine(t *testing.T) {
	// Longer than the buffer of the source, and kept whole.
	text := `{"a":"` + strings.Repeat("x", 3*sniffBytes) + `"}`
	r, err := Open(write(t, "a.jsonl", []byte(text+"\n"+`{"a":1}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if got := string(first.AppendJSON(nil)); got != text {
		t.Errorf("got %d bytes, want %d, also after the next record", len(got), len(text))
	}
}

func TestFormat(t *testing.T) {
	path := write(t, "a.json", []byte(`[{"a":1}]`))
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.Format(); got != "JSON" {
		t.Errorf("got %q", got)
	}
	if _, total := r.Progress(); total != 9 {
		t.Errorf("got a size of %d, want 9", total)
	}
	if v, ok := mustNext(t, r).Get("a"); !ok || string(v) != "1" {
		t.Errorf("got %s, %v", v, ok)
	}
}

func mustNext(t *testing.T, r *Reader) Record {
	t.Helper()
	record, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestPointerOfGit(t *testing.T) {
	for _, name := range []string{"a.jsonl", "a.jsonl.gz", "a.parquet"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), name+": it is a Git LFS pointer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
