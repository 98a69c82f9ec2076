package records

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

type turn struct {
	Role    string `parquet:"role"`
	Content string `parquet:"content,optional"`
}

type parquetRow struct {
	Prompt   string    `parquet:"prompt"`
	Messages []turn    `parquet:"messages,list"`
	Plain    []turn    `parquet:"plain"`
	IDs      []int32   `parquet:"ids,list"`
	Deep     [][]int64 `parquet:"deep,list"`
	Label    *bool     `parquet:"label,optional"`
	Score    float64   `parquet:"score"`
	Meta     turn      `parquet:"meta"`
}

func parquetFile(t testing.TB, rows []parquetRow) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[parquetRow](&b, parquet.Compression(&parquet.Snappy))
	for _, row := range rows {
		if _, err := w.Write([]parquetRow{row}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil { // a row group each
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParquet(t *testing.T) {
	yes := true
	data := parquetFile(t, []parquetRow{
		{Prompt: "é\n", Messages: []turn{{"user", "hi"}, {"assistant", "a\"b"}}, Plain: []turn{{"x", "y"}}, IDs: []int32{1, -2, 3}, Label: &yes, Score: 0.5, Meta: turn{"r", "c"}},
		{Prompt: ""},
		{Prompt: "three", Messages: []turn{{"user", "x"}}, Plain: []turn{{"a", "b"}, {"c", "d"}, {"e", "f"}}, Deep: [][]int64{{1, 2}, {}, {3}}},
	})
	want := []string{
		`{"prompt":"é\n","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a\"b"}],"plain":[{"role":"x","content":"y"}],"ids":[1,-2,3],"deep":[],"label":true,"score":0.5,"meta":{"role":"r","content":"c"}}`,
		`{"prompt":"","messages":[],"plain":[],"ids":[],"deep":[],"label":null,"score":0,"meta":{"role":""}}`,
		`{"prompt":"three","messages":[{"role":"user","content":"x"}],"plain":[{"role":"a","content":"b"},{"role":"c","content":"d"},{"role":"e","content":"f"}],"ids":[],"deep":[[1,2],[],[3]],"label":null,"score":0,"meta":{"role":""}}`,
	}
	for _, packed := range []func([]byte) (string, []byte){plain, gzipped, zstded} {
		ending, data := packed(data)
		name := "a.parquet" + ending
		var lines []string
		for i, w := range want {
			lines = append(lines, Place{File: name, Record: i + 1}.String()+" "+w)
		}
		if diff := cmp.Diff(lines, readAll(write(t, name, data))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParquetManyRows(t *testing.T) {
	type small struct {
		A int64 `parquet:"a"`
	}
	rows := make([]small, 3*rowsPerRead+5)
	for i := range rows {
		rows[i].A = int64(i)
	}
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := parquet.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
	if got := readAll(path); len(got) != len(rows) || !strings.HasSuffix(got[len(rows)-1], `record 197 {"a":196}`) {
		t.Errorf("got %d rows, the last %q", len(got), got[len(got)-1])
	}
}

func TestParquetBadText(t *testing.T) {
	data := parquetFile(t, []parquetRow{{Prompt: "a\xff"}, {Prompt: "b"}})
	got := readAll(write(t, "a.parquet", data))
	if want := `? a.parquet: record 1: "prompt" has invalid UTF-8 at byte 2`; len(got) != 2 || got[0] != want {
		t.Errorf("got %q, want first %q", got, want)
	}
}

// Bytes that are no text stand in the way of no record, and are never one's text.
func TestParquetBytes(t *testing.T) {
	type row struct {
		Prompt string `parquet:"prompt"`
		Image  []byte `parquet:"image"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	if _, err := w.Write([]row{{"q", []byte{0xff, 0xd8}}, {"q", []byte("text")}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{`a.parquet: record 1 {"prompt":"q","image":null}`, `a.parquet: record 2 {"prompt":"q","image":"text"}`}
	if diff := cmp.Diff(want, readAll(write(t, "a.parquet", b.Bytes()))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The uncompressed copy of a compressed file is gone after Close.
func TestParquetLeavesNoCopy(t *testing.T) {
	_, data := gzipped(parquetFile(t, []parquetRow{{Prompt: "a"}}))
	path := write(t, "a.parquet.gz", data)
	t.Setenv("TMPDIR", t.TempDir())
	readAll(path)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Every file with one broken byte is read or refused; none ends the process.
func TestParquetMutants(t *testing.T) {
	data := parquetFile(t, []parquetRow{{Prompt: "a", IDs: []int32{1, 2}, Messages: []turn{{"user", "x"}}}})
	path := write(t, "a.parquet", data)
	for i := range data {
		mutant := bytes.Clone(data)
		mutant[i] ^= 0xff
		if err := os.WriteFile(path, mutant, 0o600); err != nil {
			t.Fatal(err)
		}
		readAll(path)
	}
	for n := 0; n < len(data); n += 7 {
		if err := os.WriteFile(path, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readAll(path); len(got) == 0 || !strings.HasPrefix(got[0], "! ") {
			t.Errorf("cut to %d bytes: got %q", n, got)
		}
	}
}

func TestParquetBomb(t *testing.T) {
	type row struct {
		A int64 `parquet:"a,plain"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.Compression(&parquet.Zstd))
	zeros := make([]row, 1<<16)
	for range 2 * ratioSlack / (8 * len(zeros)) {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := readAll(write(t, "a.parquet", b.Bytes()))
	if len(got) != 1 || !strings.Contains(got[0], "grows to more than 200 times its size") {
		t.Errorf("%d bytes are read as %d records", b.Len(), len(got))
	}
}

// A compression that the library reads wrongly is refused by name; the others give the
// same rows.
func TestParquetCodecs(t *testing.T) {
	type row struct {
		Prompt string `parquet:"prompt"`
	}
	for _, tc := range []struct {
		codec compress.Codec
		want  string // the error, "" for none
	}{
		{&parquet.Uncompressed, ""}, {&parquet.Snappy, ""}, {&parquet.Gzip, ""}, {&parquet.Brotli, ""}, {&parquet.Zstd, ""},
		{&parquet.Lz4Raw, `column "prompt" is compressed with LZ4_RAW, which is not read: write the file with snappy, gzip, zstd or brotli`},
	} {
		var b bytes.Buffer
		w := parquet.NewGenericWriter[row](&b, parquet.Compression(tc.codec))
		if _, err := w.Write([]row{{"one"}, {strings.Repeat("two ", 5000)}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "x.parquet")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v: %v, want %s", tc.codec, err, tc.want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; ; n++ {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if r.Close(); n != 2 {
			t.Errorf("%v: %d rows, want 2", tc.codec, n)
		}
	}
}
