package gguf

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// referencePairs and referenceTensors are the content of testdata/reference.gguf.
func referencePairs() []KV {
	return []KV{
		{"general.architecture", "llama"},
		{"k.u8", uint8(200)},
		{"k.i8", int8(-3)},
		{"k.u16", uint16(60000)},
		{"k.i16", int16(-300)},
		{"k.u32", uint32(4000000000)},
		{"k.i32", int32(-70000)},
		{"k.f32", float32(0.5)},
		{"k.bool", true},
		{"k.string", "héllo"},
		{"k.u64", uint64(1 << 63)},
		{"k.i64", int64(-1 << 40)},
		{"k.f64", 0.1},
		{"k.strings", []string{"a", "", "Ġb"}},
		{"k.i32s", []int32{1, -2, 3}},
		{"k.f32s", []float32{0.5, 1.5}},
		{"k.bools", []bool{true, false}},
	}
}

func referenceTensors(t testing.TB) []Tensor {
	t.Helper()
	fill := func(kind Type, x ...float32) []byte {
		raw := make([]byte, len(x)/kind.BlockSize()*kind.BlockBytes())
		if err := Quantize(kind, raw, x); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	ramp := make([]float32, 64)
	for i := range ramp {
		ramp[i] = float32(i) / 64
	}
	return []Tensor{
		FromBytes("token_embd.weight", F32, []int{3, 2}, fill(F32, 0, 1, 2, 3, 4, 5)),
		FromBytes("half", F16, []int{3}, fill(F16, 1, 2, 3)),
		FromBytes("q8", Q8_0, []int{32, 2}, fill(Q8_0, ramp...)),
	}
}

func encode(t testing.TB, pairs []KV, tensors []Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, pairs, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, raw []byte) *File {
	t.Helper()
	f, err := New(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWriteEqualsReference(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "reference.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(t, referencePairs(), referenceTensors(t)); !bytes.Equal(got, want) {
		t.Errorf("got %d bytes\n%q\nwant %d\n%q", len(got), got, len(want), want)
	}
}

func TestReadReference(t *testing.T) {
	f, err := Open(filepath.Join("testdata", "reference.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if diff := cmp.Diff(referencePairs(), f.Metadata.All()); diff != "" {
		t.Error(diff)
	}
	if f.Version != 3 || len(f.Tensors()) != 3 {
		t.Errorf("got version %d, %d tensors", f.Version, len(f.Tensors()))
	}
	for i, want := range referenceTensors(t) {
		info := f.Tensors()[i]
		var data bytes.Buffer
		want.Data(&data)
		got := make([]byte, info.Size)
		if err := f.ReadTensor(info, got); err != nil {
			t.Fatal(err)
		}
		if info.Name != want.Name || info.Type != want.Type || !cmp.Equal(info.Shape, want.Shape) || !bytes.Equal(got, data.Bytes()) {
			t.Errorf("got %+v %x, want %+v", info, got, want)
		}
	}
}

func TestAccessors(t *testing.T) {
	f := read(t, encode(t, append(referencePairs(), KV{"k.big", uint64(math.MaxUint64)}), nil))
	m := &f.Metadata
	for key, want := range map[string]int{"k.u8": 200, "k.i8": -3, "k.u16": 60000, "k.i16": -300, "k.u32": 4000000000, "k.i32": -70000, "k.i64": -1 << 40} {
		if got, err := m.Int(key); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", key, got, err, want)
		}
	}
	if got, err := m.Float("k.f32"); got != 0.5 || err != nil {
		t.Errorf("got %g, %v", got, err)
	}
	if got, err := m.Float("k.f64"); got != 0.1 || err != nil {
		t.Errorf("got %g, %v", got, err)
	}
	if got, err := m.Bool("k.bool"); !got || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := m.String("k.string"); got != "héllo" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := m.Strings("k.strings"); len(got) != 3 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := m.Int32s("k.i32s"); len(got) != 3 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := m.Float32s("k.f32s"); len(got) != 2 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := m.Int("none"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("missing: got %v", err)
	}
	for want, err := range map[string]error{
		`"k.string" has type string, want an integer`:       second(m.Int("k.string")),
		`"k.i32" has type int32, want a float`:              second(m.Float("k.i32")),
		`"k.u8" has type uint8, want a bool`:                second(m.Bool("k.u8")),
		`"k.i32s" has type []int32, want an array of str`:   second(m.Strings("k.i32s")),
		`"k.big" is 18446744073709551615: too large`:        second(m.Int("k.big")),
		`"k.string" has type string, want an array of int3`: second(m.Int32s("k.string")),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestReadTensorRefuses(t *testing.T) {
	f := read(t, encode(t, nil, referenceTensors(t)))
	if err := f.ReadTensor(TensorInfo{Name: "none"}, nil); err == nil || !strings.Contains(err.Error(), `no tensor "none"`) {
		t.Errorf("got %v", err)
	}
	if err := f.ReadTensor(TensorInfo{Name: "half"}, make([]byte, 5)); err == nil || !strings.Contains(err.Error(), "has 6 bytes, the buffer 5") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: got %v", err)
	}
}

// A file that is cut after it was opened is an error, not a fault.
func TestCutWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	raw := encode(t, nil, referenceTensors(t))
	if err := os.WriteFile(path, raw, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, int64(len(raw)-50)); err != nil {
		t.Fatal(err)
	}
	info, _ := f.Tensor("q8")
	if err := f.ReadTensor(info, make([]byte, info.Size)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	one := make([]byte, 4)
	tests := []struct {
		name    string
		pairs   []KV
		tensors []Tensor
		want    string
	}{
		{"empty key", []KV{{"", uint8(1)}}, nil, "is empty"},
		{"key twice", []KV{{"a", uint8(1)}, {"a", uint8(1)}}, nil, `"a" occurs twice`},
		{"value type", []KV{{"a", 1}}, nil, "type int cannot be stored"},
		{"nil value", []KV{{"a", nil}}, nil, "cannot be stored"},
		{"alignment type", []KV{{alignmentKey, int32(32)}}, nil, "has type int32, want uint32"},
		{"alignment value", []KV{{alignmentKey, uint32(24)}}, nil, "want a power of two"},
		{"name twice", nil, []Tensor{FromBytes("a", F32, []int{1}, one), FromBytes("a", F32, []int{1}, one)}, "given twice"},
		{"long name", nil, []Tensor{FromBytes(strings.Repeat("n", 64), F32, []int{1}, one)}, "64 bytes, the limit is 63"},
		{"empty name", nil, []Tensor{FromBytes("", F32, []int{1}, one)}, "name is empty"},
		{"dimensions", nil, []Tensor{FromBytes("a", F32, []int{1, 1, 1, 1, 1}, one)}, "5 dimensions"},
		{"row", nil, []Tensor{FromBytes("a", Q8_0, []int{16, 2}, one)}, "not a multiple of the 32"},
		{"negative", nil, []Tensor{FromBytes("a", F32, []int{-1}, one)}, "negative dimension"},
		{"overflow", nil, []Tensor{FromBytes("a", F32, []int{1 << 40, 1 << 40}, one)}, "overflows"},
		{"too few bytes", nil, []Tensor{FromBytes("a", F32, []int{2}, one)}, "needs 8 bytes, 4 were written"},
		{"too many bytes", nil, []Tensor{FromBytes("a", F32, []int{0}, one)}, "more bytes than its shape"},
	}
	for _, tt := range tests {
		err := Write(io.Discard, tt.pairs, tt.tensors)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestWriteReportsWriter(t *testing.T) {
	full := errors.New("disk full")
	size := len(encode(t, referencePairs(), referenceTensors(t)))
	for limit := range size {
		if err := Write(&limitedWriter{limit, full}, referencePairs(), referenceTensors(t)); !errors.Is(err, full) {
			t.Fatalf("after %d of %d bytes: got %v", limit, size, err)
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

// What Write writes New reads back, and writes again to the same bytes.
func TestRoundTrip(t *testing.T) {
	types := []Type{F32, F16, BF16, I8, I64, Q4_0, Q8_0, Q4_K}
	rapid.Check(t, func(t *rapid.T) {
		pairs := drawPairs(t)
		var tensors []Tensor
		names := rapid.SliceOfDistinct(rapid.StringN(1, 15, 63), rapid.ID[string]).Draw(t, "names")
		for _, name := range names {
			kind := rapid.SampledFrom(types).Draw(t, "type")
			shape := []int{kind.BlockSize() * rapid.IntRange(0, 2).Draw(t, "row")}
			shape = append(shape, rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3).Draw(t, "shape")...)
			size, err := kind.Size(shape...)
			if err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, FromBytes(name, kind, shape, rapid.SliceOfN(rapid.Byte(), int(size), int(size)).Draw(t, "data")))
		}
		var first, second bytes.Buffer
		if err := Write(&first, pairs, tensors); err != nil {
			t.Fatal(err)
		}
		f, err := New(bytes.NewReader(first.Bytes()), int64(first.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(&second, f.Metadata.All(), rewrite(t, f)); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("written again: %v\n%q\n%q", err, first.Bytes(), second.Bytes())
		}
	})
}

func drawPairs(t *rapid.T) []KV {
	value := rapid.OneOf(
		rapid.Map(rapid.Int32(), func(v int32) any { return v }),
		rapid.Map(rapid.Uint64(), func(v uint64) any { return v }),
		rapid.Map(rapid.Float64(), func(v float64) any { return v }),
		rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(rapid.String(), func(v string) any { return v }),
		rapid.Map(rapid.SliceOf(rapid.String()), func(v []string) any { return v }),
		rapid.Map(rapid.SliceOf(rapid.Float32()), func(v []float32) any { return v }),
		rapid.Map(rapid.SliceOf(rapid.Bool()), func(v []bool) any { return v }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(v []byte) any { return v }),
	)
	keys := rapid.SliceOfDistinct(rapid.StringN(1, 20, -1), rapid.ID[string]).Draw(t, "keys")
	var pairs []KV
	for _, key := range keys {
		if key != alignmentKey {
			pairs = append(pairs, KV{key, value.Draw(t, "value")})
		}
	}
	if rapid.Bool().Draw(t, "aligned") {
		pairs = append(pairs, KV{alignmentKey, uint32(1) << rapid.IntRange(0, 8).Draw(t, "alignment")})
	}
	return pairs
}

func rewrite(t *rapid.T, f *File) []Tensor {
	var tensors []Tensor
	for _, info := range f.Tensors() {
		data := make([]byte, info.Size)
		if err := f.ReadTensor(info, data); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, FromBytes(info.Name, info.Type, info.Shape, data))
	}
	return tensors
}
