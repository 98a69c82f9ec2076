package safetensors

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// file builds a file from a header and the number of data bytes after it.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// The hostile files of the reference implementation's tests and of its
// attacks folder, and those of readers in other languages.
func TestHostile(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return `{"a":{"dtype":"` + dtype + `","shape":` + shape + `,"data_offsets":` + offsets + `}}`
	}
	length := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty file", nil, "too short for a header"},
		{"header too small", []byte{1, 2, 3}, "too short for a header"},
		{"header too large", append(length(100_000_001), "{}"...), "above the limit 100000000"},
		{"length sign flip", append(length(1<<63), "{}"...), "above the limit"},
		{"invalid header length", append(length(60), "{}"...), "beyond the end of the file"},
		{"zero length", length(0), "too small"},
		{"not utf8", file("{\"\xff\":1}", 0), "invalid UTF-8"},
		{"lone surrogate", file(`{"\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), "surrogate"},
		{"not json", file("{nonsense}", 0), "invalid character"},
		{"json array", file("[{}]", 0), "begins with"},
		{"whitespace leading", file(" {}", 0), "begins with"},
		{"cut json", file(`{"a":`, 0), "unexpected EOF"},
		{"text after", file("{}  x", 0), "0x78 at 4 after the closing brace"},
		{"second object", file("{}{}", 0), "after the closing brace"},
		{"newline padding", file("{}\n", 0), "0x0a"},
		{"deep nesting", file(`{"a":`+strings.Repeat("[", 1<<20), 0), "is [, want {"},
		{"duplicate name", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "duplicate"},
		{"duplicate name escaped", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "duplicate"},
		{"duplicate field", file(`{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "duplicate"},
		{"missing field", file(`{"a":{"dtype":"U8","shape":[1]}}`, 1), "not all there"},
		{"entry is a number", file(`{"a":3}`, 0), "want {"},
		{"dtype is a number", file(`{"a":{"dtype":3}}`, 0), "want a string"},
		{"metadata not strings", file(`{"__metadata__":{"a":1}}`, 0), `"a" is number, want a string`},
		{"metadata is null", file(`{"__metadata__":null}`, 0), "want {"},
		{"unknown dtype", file(entry("Q4", "[1]", "[0,1]"), 1), `unknown dtype "Q4"`},
		{"float dimension", file(entry("U8", "[1.0]", "[0,1]"), 1), "want a whole number"},
		{"exponent dimension", file(entry("U8", "[1e0]", "[0,1]"), 1), "want a whole number"},
		{"negative dimension", file(entry("U8", "[-1]", "[0,1]"), 1), "want a whole number"},
		{"2^64 dimension", file(entry("U8", "[18446744073709551616]", "[0,1]"), 1), "want a whole number"},
		{"2^63 dimension", file(entry("U8", "[9223372036854775808]", "[0,1]"), 1), "too large"},
		{"rank", file(entry("U8", "[1"+strings.Repeat(",1", 1000)+"]", "[0,1]"), 1), "more than 16"},
		{"one offset", file(entry("U8", "[1]", "[0]"), 1), "1 numbers, want 2"},
		{"three offsets", file(entry("U8", "[1]", "[0,1,2]"), 1), "more than 2"},
		{"validation overflow shape", file(entry("F32", "[2,9223372036854775807]", "[0,4]"), 4), "overflows"},
		{"validation overflow bytes", file(entry("F64", "[2305843009213693951]", "[0,4]"), 4), "overflows"},
		{"overflow to a small size", file(entry("F32", "[4294967296,4294967296]", "[0,0]"), 0), "overflows"},
		{"overflow then zero", file(entry("F32", "[4294967296,4294967296,0]", "[0,0]"), 0), "overflows"},
		{"invalid info", file(entry("F32", "[2,2]", "[0,15]"), 15), "needs 16 bytes, its offsets span 15"},
		{"zero sized with bytes", file(entry("F32", "[2,0]", "[0,16]"), 16), "needs 0 bytes"},
		{"half a byte", file(entry("F4", "[1]", "[0,1]"), 1), "whole number of bytes"},
		{"end before begin", file(entry("U8", "[1]", "[0,0]"), 0), "needs 1 bytes"},
		{"begin after end", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1],"data_offsets":[4,3]}}`, 4), "before it begins"},
		{"metadata incomplete buffer", file(entry("U8", "[1]", "[0,1]"), 2), "end at byte 1 of 2"},
		{"data missing", file(entry("U8", "[4]", "[0,4]"), 2), "the file has 2 bytes"},
		{"hole at start", file(entry("U8", "[1]", "[1,2]"), 2), "begins at 1, want 0"},
		{"overlap", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), "begins at 1, want 2"},
		{"shared data", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2), "begins at 0, want 2"},
		{"offsets near 2^64", file(entry("U8", "[1]", "[18446744073709551615,0]"), 0), "begins at 18446744073709551615"},
	}
	for _, tt := range tests {
		_, err := New(bytes.NewReader(tt.file), int64(len(tt.file)))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: message has %d bytes", tt.name, len(err.Error()))
		}
	}
}

// A header with very many names is refused before it costs much.
func TestManyTensors(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range maxTensors + 1 {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`"` + strconv.Itoa(i) + `":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
	}
	b.WriteString("}")
	raw := file(b.String(), 0)
	_, err := New(bytes.NewReader(raw), int64(len(raw)))
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
}

func TestLegal(t *testing.T) {
	for name, raw := range map[string][]byte{
		"no tensors":     file("{}", 0),
		"padding":        file("{}      ", 0),
		"unknown field":  file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[{}]}}`, 1),
		"scalar":         file(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 4),
		"zero sized":     file(`{"a":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"any order":      file(`{"b":{"data_offsets":[1,2],"shape":[1],"dtype":"U8"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2),
		"sub-byte types": file(`{"a":{"dtype":"F4","shape":[3,2],"data_offsets":[0,3]}}`, 3),
	} {
		if _, err := New(bytes.NewReader(raw), int64(len(raw))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := os.WriteFile(path, encode(t, mixed(), nil), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, ok := f.Tensor("a.weight")
	if !ok || info.DType != BF16 || info.Bytes != 12 || len(info.Shape) != 2 {
		t.Errorf("got %+v, %v", info, ok)
	}
	for name, size := range map[string]int{"a.weight": 11, "none": 12} {
		if err := f.ReadInto(name, make([]byte, size)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s into %d bytes: got %v", name, size, err)
		}
	}
	// A file that is cut after it was opened is an error, not a fault.
	if err := os.Truncate(path, f.offsets["a.weight"]+5); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadInto("a.weight", make([]byte, 12)); err == nil {
		t.Error("cut file: got no error")
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: got %v", err)
	}
}

func FuzzNew(f *testing.F) {
	f.Add(encode(f, mixed(), map[string]string{"k": "v"}))
	f.Add(file("{}", 0))
	f.Add(file(`{"a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}   `, 4))
	f.Add(file(`{"a":{"dtype":"F4","shape":[4294967296,4294967296],"data_offsets":[0,18446744073709551615]}}`, 4))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := New(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		total := 0
		for _, info := range file.Tensors() {
			buffer := make([]byte, info.Bytes)
			if err := file.ReadInto(info.Name, buffer); err != nil {
				t.Error(err)
			}
			total += len(buffer)
		}
		if total > len(raw) {
			t.Errorf("tensors of %d bytes in a file of %d", total, len(raw))
		}
	})
}
