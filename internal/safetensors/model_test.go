package safetensors

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"align/internal/fixture"
)

// folder writes the given files into a fresh folder.
func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSharded(t *testing.T) {
	dir := folder(t, map[string][]byte{
		"model-1.safetensors": encode(t, []Tensor{FromBytes("b", U8, []int{1}, []byte{1}), FromBytes("unlisted", U8, []int{1}, []byte{9})}, nil),
		"model-2.safetensors": encode(t, []Tensor{FromBytes("a", U8, []int{2}, []byte{2, 3})}, nil),
		indexName:             []byte(`{"metadata":{"total_size":3},"weight_map":{"a":"model-2.safetensors","b":"model-1.safetensors"}}`),
	})
	m, err := OpenModel(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := m.Tensors(); len(got) != 2 || got[0].Name != "b" || got[1].Name != "a" {
		t.Errorf("got %+v, want b and a", got)
	}
	dst := make([]byte, 2)
	if err := m.ReadInto("a", dst); err != nil || !bytes.Equal(dst, []byte{2, 3}) {
		t.Errorf("got %v, %v", dst, err)
	}
	if err := m.ReadInto("unlisted", dst[:1]); err == nil {
		t.Error("a tensor outside the index was read")
	}
	if got := m.Files(); len(got) != 2 || filepath.Base(got[0]) != "model-1.safetensors" {
		t.Errorf("got %q", got)
	}
}

func TestOpenModelRefuses(t *testing.T) {
	good := encode(t, []Tensor{FromBytes("a", U8, []int{1}, []byte{1})}, nil)
	index := func(shard string) []byte { return []byte(`{"weight_map":{"a":"` + shard + `"}}`) }
	tests := []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"empty folder", nil, "neither model.safetensors nor"},
		{"pickle", map[string][]byte{"pytorch_model.bin": nil}, "holds pytorch_model.bin, a pickle"},
		{"pointer", map[string][]byte{singleName: []byte("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n")}, "Git LFS pointer"},
		{"no index", map[string][]byte{"model-00001-of-00002.safetensors": good}, "model-00001-of-00002.safetensors is there, and model.safetensors.index.json, which"},
		{"cut file", map[string][]byte{singleName: good[:len(good)-1]}, "the file has 0 bytes"},
		{"parent", map[string][]byte{indexName: index("../m.safetensors")}, "not the name of a .safetensors file"},
		{"absolute", map[string][]byte{indexName: index("/tmp/m.safetensors")}, "not the name"},
		{"backslash", map[string][]byte{indexName: index(`..\\m.safetensors`)}, "not the name"},
		{"drive", map[string][]byte{indexName: index("C:m.safetensors")}, "not the name"},
		{"NUL", map[string][]byte{indexName: index(`m\u0000.safetensors`)}, "not the name"},
		{"other kind", map[string][]byte{indexName: index("pytorch_model.bin")}, "not the name"},
		{"missing shard", map[string][]byte{indexName: index("m.safetensors")}, "no such file"},
		{"missing tensor", map[string][]byte{
			indexName:       []byte(`{"weight_map":{"a":"m.safetensors","c":"m.safetensors"}}`),
			"m.safetensors": good}, `shard m.safetensors lacks tensor "c"`},
		{"duplicate key", map[string][]byte{indexName: []byte(`{"weight_map":{"a":"m.safetensors","a":"n.safetensors"}}`)}, "stands twice"},
		{"no map", map[string][]byte{indexName: []byte(`{}`)}, "missing or empty"},
		{"not JSON", map[string][]byte{indexName: []byte(`weights`)}, "invalid"},
	}
	for _, tt := range tests {
		dir := folder(t, tt.files)
		_, err := OpenModel(dir)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Real files keep their header and content on the way through Write.
func TestRewriteRealFiles(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"data/*/*.safetensors", "golden/models/*/*.safetensors"} {
		found, err := filepath.Glob(filepath.Join(fixture.Path(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Fatal("no safetensors files in the shared folder")
	}
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		raw := encode(t, tensorsOf(t, f), f.Metadata())
		again, err := New(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(contentOf(t, f), contentOf(t, again)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		f.Close()
	}
}

func tensorsOf(t *testing.T, f *File) []Tensor {
	t.Helper()
	var tensors []Tensor
	for _, info := range f.Tensors() {
		data := make([]byte, info.Bytes)
		if err := f.ReadInto(info.Name, data); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, FromBytes(info.Name, info.DType, info.Shape, data))
	}
	return tensors
}

// contentOf maps the name, type and shape of each tensor to a hash of its bytes.
func contentOf(t *testing.T, f *File) map[string][32]byte {
	t.Helper()
	content := map[string][32]byte{}
	for _, x := range tensorsOf(t, f) {
		var data bytes.Buffer
		x.Data(&data)
		content[fmt.Sprint(x.Name, x.DType, x.Shape)] = sha256.Sum256(data.Bytes())
	}
	return content
}

func TestRealShards(t *testing.T) {
	m, err := OpenModel(fixture.Path(t, "golden", "models", "tiny-bf16-sharded"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if len(m.Files()) != 3 {
		t.Errorf("got %d files, want 3", len(m.Files()))
	}
	for _, info := range m.Tensors() {
		raw := make([]byte, info.Bytes)
		if err := m.ReadInto(info.Name, raw); err != nil {
			t.Error(err)
		}
		if err := ToFloat32(make([]float32, len(raw)/2), raw, info.DType); err != nil {
			t.Error(err)
		}
	}
}
