package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatAFileHoldsIsLeftOut(t *testing.T) {
	var first, second bytes.Buffer
	if err := write(&first, 20, 1, nil); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "first.jsonl")
	if err := os.WriteFile(file, first.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(&second, 20, 1, []string{file}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(second.String()) {
		if strings.Contains(first.String(), line) {
			t.Errorf("%s is in both", line)
		}
	}
}

func TestErrors(t *testing.T) {
	var out bytes.Buffer
	if err := write(&out, 10000, 1, nil); err == nil || !strings.Contains(err.Error(), "the prompts run out at") {
		t.Errorf("too many: %v", err)
	}
	file := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(file, []byte("{\"prompt\": \"a\"}\n{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(&out, 1, 1, []string{file}); err == nil || !strings.Contains(err.Error(), "bad.jsonl") {
		t.Errorf("bad file: %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("something was written: %q", out.String())
	}
}
