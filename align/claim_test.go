package align

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestClaimKeepsOthersOut(t *testing.T) {
	run, quiet := t.TempDir(), func(string) {}
	release, err := claim(run, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim(run, quiet); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("a second claim: error %v, want one that says so", err)
	}
	release()
	release, err = claim(run, quiet)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	release()
}

// What a process that died was writing is gone, what it wrote is not.
func TestClaimSweeps(t *testing.T) {
	run := t.TempDir()
	for _, name := range []string{".samples.jsonl.tmp-K5QJ2ZWX", "samples.jsonl"} {
		if err := os.WriteFile(filepath.Join(run, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release, err := claim(run, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if has(run, ".samples.jsonl.tmp-K5QJ2ZWX") || !has(run, "samples.jsonl") {
		t.Error("want the temporary file gone and the other there")
	}
}

// A file system without locks is no reason not to train.
func TestClaimWithoutLocksIsNoted(t *testing.T) {
	var noted string
	release, err := claim("no such folder", func(s string) { noted = s })
	if err != nil || !strings.Contains(noted, "no other process is kept out") {
		t.Errorf("error %v, note %q", err, noted)
	}
	release()
}

func TestRunsAtOnceGetTheirOwnFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := newRun("", "dpo"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made, err := os.ReadDir("runs"); err != nil || len(made) != 20 {
		t.Errorf("%d folders for 20 runs (%v)", len(made), err)
	}
}
