package runfolder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClaimKeepsOthersOut(t *testing.T) {
	run, quiet := t.TempDir(), func(string) {}
	release, err := Claim(run, quiet)
	if err != nil {
		t.Fatal(err)
	}
	held := fmt.Sprintf("is in use: process %d is at work in it since 20", os.Getpid())
	if _, err := Claim(run, quiet); err == nil || !strings.Contains(err.Error(), held) || !strings.Contains(err.Error(), commandLine(os.Args[:1])) {
		t.Errorf("a second claim: error %v, want one that says so", err)
	}
	if err := os.WriteFile(filepath.Join(run, holderFile), []byte(`{"pid":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Claim(run, quiet); err == nil || !strings.Contains(err.Error(), "is in use: another process is at work in it") {
		t.Errorf("a second claim beside half a file: error %v", err)
	}
	release()
	if has(run, holderFile) {
		t.Error("the holder is still named after the release")
	}
	if has(run, lockFile) {
		t.Error("the lock stays in a folder that holds nothing else")
	}
	if err := os.WriteFile(filepath.Join(run, SettingsFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	release, err = Claim(run, quiet)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	release()
	if !has(run, lockFile) {
		t.Error("the lock is gone from a run's folder")
	}
}

func TestCommandLine(t *testing.T) {
	for want, args := range map[string][]string{
		"align dpo --out run":                       {"/usr/bin/align", "dpo", "--out", "run"},
		`align sft --data "a b.jsonl" ""`:           {"align", "sft", "--data", "a b.jsonl", ""},
		`align sft "x\x1b[2J"`:                      {"align", "sft", "x\x1b[2J"},
		"align " + strings.Repeat("x", 394) + "...": {"align", strings.Repeat("x", 500)},
	} {
		if got := commandLine(args); got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
	}
}

// What a process that died was writing is gone, what it wrote is not.
func TestClaimSweeps(t *testing.T) {
	run := t.TempDir()
	for _, name := range []string{".samples.jsonl.tmp-K5QJ2ZWX", "samples.jsonl"} {
		if err := os.WriteFile(filepath.Join(run, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release, err := Claim(run, func(string) {})
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
	release, err := Claim("no such folder", func(s string) { noted = s })
	if err != nil || !strings.Contains(noted, "no other process is kept out") {
		t.Errorf("error %v, note %q", err, noted)
	}
	release()
}
