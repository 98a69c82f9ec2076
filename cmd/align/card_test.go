//go:build linux && (amd64 || arm64) && !nogpu

package main

import (
	"embed"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/device/cuda/cudatest"
)

func init() { simulate = cudatest.StandIn }

// The scripts travel with the test binary, which runs where no source is.
//
//go:embed testdata/card/*.txtar
var cardScripts embed.FS

// TestCardScripts runs whole jobs on the simulated card, or where ALIGN_TEST_GPU
// is 1 on the real one. $TINY is a model that the simulator is quick with.
func TestCardScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole jobs in the simulator")
	}
	files, err := cardScripts.ReadDir("testdata/card")
	if err != nil {
		t.Fatal(err)
	}
	tiny := cardModel(t)
	for _, file := range files {
		name := filepath.Join("testdata", "card", file.Name())
		t.Run(strings.TrimSuffix(file.Name(), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := cardScripts.ReadFile(filepath.ToSlash(name))
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, file: name, dir: t.TempDir(), env: map[string]string{"TINY": tiny, cardSwitch: "1"}}
			s.env["ALIGN_CACHE"] = filepath.Join(s.dir, "cache")
			s.run(string(data))
		})
	}
}

// cardModel pretrains a model of two layers on the CPU until it answers.
func cardModel(t *testing.T) string {
	t.Helper()
	text, err := cardScripts.ReadFile("testdata/card/sft.txtar")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, file: "the model", dir: t.TempDir(), env: map[string]string{}}
	s.unpack(string(text))
	for _, line := range []string{
		"exec align tokenizer train --data data.jsonl --vocab-size 320 --out tokens --quiet",
		"exec align pretrain --tokenizer tokens --data data.jsonl --config shape.yaml --quiet --out base",
		"exec align export base --format hf --out tiny --quiet",
	} {
		if err := s.line(line); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, s.stderr)
		}
	}
	if _, err := os.Stat(s.path("tiny")); err != nil {
		t.Fatal(err)
	}
	return s.path("tiny")
}
