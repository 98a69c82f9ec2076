package gguf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// splitSet writes three files; change may alter the pairs of one.
func splitSet(t *testing.T, change func(no int, pairs []KV) []KV) string {
	t.Helper()
	dir := t.TempDir()
	for no := range 3 {
		pairs := []KV{{splitNoKey, uint16(no)}, {splitCountKey, uint16(3)}, {splitTensorsKey, int32(3)}}
		if no == 0 {
			pairs = append(pairs, KV{"general.architecture", "llama"})
		}
		if change != nil {
			pairs = change(no, pairs)
		}
		name := string(rune('a' + no))
		raw := encode(t, pairs, []Tensor{FromBytes(name, I8, []int{2}, []byte{byte(no), 7})})
		path := filepath.Join(dir, "m-0000"+string(rune('1'+no))+"-of-00003.gguf")
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "m-00001-of-00003.gguf")
}

func TestOpenSplit(t *testing.T) {
	f, err := OpenSplit(splitSet(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if arch, err := f.Metadata.String("general.architecture"); arch != "llama" || err != nil {
		t.Errorf("got %q, %v", arch, err)
	}
	for no, info := range f.Tensors() {
		got := make([]byte, 2)
		if err := f.ReadTensor(info, got); err != nil || !bytes.Equal(got, []byte{byte(no), 7}) {
			t.Errorf("%s: got %v, %v", info.Name, got, err)
		}
	}
	if len(f.Tensors()) != 3 {
		t.Errorf("got %d tensors, want 3", len(f.Tensors()))
	}
}

func TestOpenSplitOfOne(t *testing.T) {
	f, err := OpenSplit(filepath.Join("testdata", "reference.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestOpenSplitRefuses(t *testing.T) {
	set := func(in int, key string, value any) func(int, []KV) []KV {
		return func(no int, pairs []KV) []KV {
			for i := range pairs {
				if no == in && pairs[i].Key == key {
					pairs[i].Value = value
				}
			}
			return pairs
		}
	}
	tests := []struct {
		name   string
		change func(int, []KV) []KV
		path   func(string) string
		want   string
	}{
		{"not the first", nil, func(p string) string { return strings.Replace(p, "00001-of", "00002-of", 1) }, "file 2 of a split set: open the first one"},
		{"other count", set(1, splitCountKey, uint16(4)), nil, "split.count is 4, want 3"},
		{"other number", set(2, splitNoKey, uint16(1)), nil, "split.no is 1, want 2"},
		{"tensor count", set(0, splitTensorsKey, int32(9)), nil, "split.tensors.count is 9, the files hold 3"},
		{"huge count", set(0, splitCountKey, int64(1<<40)), nil, "the limit is 4096"},
		{"negative count", set(0, splitCountKey, int32(-2)), nil, "split.count is -2"},
		{"count is a string", set(0, splitCountKey, "3"), nil, "want an integer"},
		{"count against the name", set(0, splitCountKey, uint16(2)), nil, "must end in -00001-of-00002.gguf"},
		{"renamed", nil, func(p string) string {
			to := filepath.Join(filepath.Dir(p), "model.gguf")
			if err := os.Rename(p, to); err != nil {
				t.Fatal(err)
			}
			return to
		}, "must end in -00001-of-00003.gguf"},
		{"missing file", nil, func(p string) string {
			if err := os.Remove(strings.Replace(p, "00001-of", "00003-of", 1)); err != nil {
				t.Fatal(err)
			}
			return p
		}, "no such file"},
		{"same tensor twice", nil, func(p string) string {
			raw := encode(t, []KV{{splitNoKey, uint16(1)}, {splitCountKey, uint16(3)}}, []Tensor{FromBytes("a", I8, []int{1}, []byte{1})})
			if err := os.WriteFile(strings.Replace(p, "00001-of", "00002-of", 1), raw, 0o666); err != nil {
				t.Fatal(err)
			}
			return p
		}, `tensor "a" is in an earlier file too`},
	}
	for _, tt := range tests {
		path := splitSet(t, tt.change)
		if tt.path != nil {
			path = tt.path(path)
		}
		_, err := OpenSplit(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
