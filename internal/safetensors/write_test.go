package safetensors

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// mixed is the content of testdata/mixed.safetensors.
func mixed() []Tensor {
	return []Tensor{
		FromFloats("z.bias", F32, []int{3}, []float32{1, -2.5, 3}),
		FromBytes("a.weight", BF16, []int{2, 3}, []byte{0x80, 0x3f, 0x80, 0xbf, 0xc0, 0x7f, 0, 0, 0, 0x80, 0x80, 0x7f}),
		FromFloats("m.half", F16, []int{1, 2}, []float32{1, -65504}),
		FromBytes("ids", I64, []int{2}, []byte{255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 1, 0, 0}),
		FromBytes("flag", Bool, []int{3}, []byte{0, 1, 1}),
		FromBytes("scalar", F64, []int{}, []byte{0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f}),
		FromBytes("empty", F32, []int{0, 4}, nil),
		FromBytes("unié\"\\\n\u2028<&>", U8, []int{2}, []byte{7, 8}),
	}
}

func encode(t testing.TB, tensors []Tensor, metadata map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteEqualsReference(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "mixed.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(t, mixed(), nil); !bytes.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestWriteRefuses(t *testing.T) {
	one := []byte{1, 2, 3, 4}
	tests := []struct {
		name    string
		tensors []Tensor
		want    string
	}{
		{"same name", []Tensor{FromBytes("a", U8, []int{4}, one), FromBytes("a", U8, []int{4}, one)}, "given twice"},
		{"reserved", []Tensor{FromBytes("__metadata__", U8, []int{4}, one)}, "reserved"},
		{"too few", []Tensor{FromBytes("a", F32, []int{2}, one)}, "needs 8 bytes, 4 were written"},
		{"too many", []Tensor{FromBytes("a", U8, []int{3}, one)}, "more bytes than its shape"},
		{"dtype", []Tensor{FromBytes("a", "Q4", []int{4}, one)}, `unknown dtype "Q4"`},
		{"negative", []Tensor{FromBytes("a", U8, []int{-4}, one)}, "negative dimension"},
		{"overflow", []Tensor{FromBytes("a", U8, []int{1 << 40, 1 << 40}, one)}, "overflows"},
		{"half a byte", []Tensor{FromBytes("a", F4, []int{3}, one)}, "whole number of bytes"},
		{"not UTF-8", []Tensor{FromBytes("a\xff", U8, []int{4}, one)}, "not UTF-8"},
		{"not floats", []Tensor{FromFloats("a", I32, []int{1}, []float32{1})}, "does not convert"},
	}
	for _, tt := range tests {
		err := Write(io.Discard, tt.tensors, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestWriteReportsWriter(t *testing.T) {
	full := errors.New("disk full")
	for limit := range len(encode(t, mixed(), nil)) {
		err := Write(&limitedWriter{limit, full}, mixed(), nil)
		if !errors.Is(err, full) {
			t.Fatalf("after %d bytes: got %v", limit, err)
		}
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return l.left, l.err
	}
	l.left -= len(p)
	return len(p), nil
}

// What Write writes New reads back, whatever the names, types and shapes; the
// order in which tensors are given does not matter.
func TestRoundTrip(t *testing.T) {
	types := []DType{Bool, U8, F8E4M3, I16, F16, BF16, I32, F32, F64, I64, F4}
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.String(), rapid.ID[string]).Draw(t, "names")
		var tensors []Tensor
		want := map[string][]byte{}
		for _, name := range names {
			d := rapid.SampledFrom(types).Draw(t, "dtype")
			shape := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 3).Draw(t, "shape")
			shape = append(shape, 2)
			size, err := bytesOf(d, shape)
			if err != nil {
				t.Fatal(err)
			}
			data := rapid.SliceOfN(rapid.Byte(), int(size), int(size)).Draw(t, "data")
			tensors = append(tensors, FromBytes(name, d, shape, data))
			want[name] = data
		}
		var first, second bytes.Buffer
		meta := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")
		if err := Write(&first, tensors, meta); err != nil {
			t.Fatal(err)
		}
		Write(&second, rapid.Permutation(tensors).Draw(t, "order"), meta)
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatal("the order of the arguments changes the file")
		}
		checkContent(t, first.Bytes(), want, meta)
	})
}

func checkContent(t *rapid.T, file []byte, want map[string][]byte, meta map[string]string) {
	f, err := New(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tensors()) != len(want) {
		t.Fatalf("got %d tensors, want %d", len(f.Tensors()), len(want))
	}
	for _, info := range f.Tensors() {
		got := make([]byte, info.Bytes)
		if err := f.ReadInto(info.Name, got); err != nil || !bytes.Equal(got, want[info.Name]) {
			t.Fatalf("%q: got %x, %v, want %x", info.Name, got, err, want[info.Name])
		}
	}
	for k, v := range meta {
		if f.Metadata()[k] != v {
			t.Fatalf("metadata %q: got %q, want %q", k, f.Metadata()[k], v)
		}
	}
}
