package builtin

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"align/internal/safetensors"
	"align/internal/tokenizer"
)

// maxBytes is what the embedded model may add to the program.
const maxBytes = 4 << 20

func TestFilesAreAModelFolder(t *testing.T) {
	total := int64(0)
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} {
		info, err := fs.Stat(Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > maxBytes {
		t.Errorf("the model has %d bytes, the limit is %d", total, maxBytes)
	}
}

func TestDirWritesOnceAndRepairs(t *testing.T) {
	cache := t.TempDir()
	dir, err := Dir(cache)
	if err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(dir, "model.safetensors")
	before, err := os.Stat(weights)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Dir(cache)
	if err != nil || again != dir {
		t.Fatalf("%q, %v: want %q", again, err, dir)
	}
	after, err := os.Stat(weights)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the second call wrote the weights again: %v", err)
	}
	if err := os.WriteFile(weights, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(cache); err != nil {
		t.Fatal(err)
	}
	want, err := fs.ReadFile(Files(), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(weights); err != nil || !bytes.Equal(got, want) {
		t.Errorf("a damaged file was left: %v", err)
	}
}

// TestDirAtTheSameTime: several processes may ask first.
func TestDirAtTheSameTime(t *testing.T) {
	cache := t.TempDir()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			dir, err := Dir(cache)
			if err != nil {
				t.Error(err)
				return
			}
			f, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
			if err != nil {
				t.Error(err)
				return
			}
			f.Close()
		})
	}
	group.Wait()
	entries, err := os.ReadDir(filepath.Join(cache, "builtin"))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries are left, want 1: %v", len(entries), err)
	}
}

func TestDirWantsACache(t *testing.T) {
	if _, err := Dir(""); err == nil {
		t.Error("a folder was made without a cache folder")
	}
}

// TestTokenizer: the folder's tokenizer has what a chat needs.
func TestTokenizer(t *testing.T) {
	dir, err := Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	const text = "Once upon a time there was a café. It's 12 + 345!\n\nBye."
	if got := tok.Decode(tok.EncodeOrdinary(nil, text)); got != text {
		t.Errorf("%q comes back as %q", text, got)
	}
	if tok.ChatTemplate() == "" {
		t.Error("there is no chat template")
	}
	for _, name := range []string{"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"} {
		if _, ok := tok.Special(name); !ok {
			t.Errorf("there is no %s", name)
		}
	}
}
