//go:build linux && (amd64 || arm64) && !nogpu

package main

import (
	"embed"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/basemodel"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
)

func init() {
	launches = cudatest.Launches
	simulate = func(generation string) func() error {
		if generation == cudatest.Hopper.String() {
			return cudatest.StandInTarget(cudatest.Hopper)
		}
		return cudatest.StandIn()
	}
}

// The scripts travel with the test binary, which runs where no source is.
//
//go:embed testdata/card/*.txtar
var cardScripts embed.FS

// TestCardScripts runs whole jobs on the simulated card, or where ALIGN_TEST_GPU
// is 1 on the real one. $TINY is a model that the simulator is quick with, $SERVER
// one that answers for it.
func TestCardScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole jobs in the simulator")
	}
	files, err := cardScripts.ReadDir("testdata/card")
	if err != nil {
		t.Fatal(err)
	}
	tiny := cardModel(t)
	server := generator(t, tiny)
	for _, file := range files {
		name := filepath.Join("testdata", "card", file.Name())
		t.Run(strings.TrimSuffix(file.Name(), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := cardScripts.ReadFile(filepath.ToSlash(name))
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, file: name, dir: t.TempDir(), env: map[string]string{"TINY": tiny, "SERVER": server, cardSwitch: cudatest.Ampere.String()}}
			if cudatest.Simulated() { // seconds, each time; proof.txtar has them
				s.env[cuda.ProofVariable] = "off"
			}
			s.env["ALIGN_CACHE"] = filepath.Join(s.dir, "cache")
			s.run(string(data))
		})
	}
}

// generator is a vLLM server in little, which takes every adapter and answers any
// prompt with some of its own tokens.
func generator(t *testing.T, folder string) string {
	t.Helper()
	tokenizer, err := basemodel.OpenTokenizer(folder)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Prompt json.RawMessage `json:"prompt"`
			Most   int             `json:"max_tokens"`
			Seed   int             `json:"seed"`
		}
		_ = json.NewDecoder(r.Body).Decode(&q) // GET has no body
		var answer any
		switch r.URL.Path {
		case "/v1/models":
			answer = map[string]any{"data": []any{map[string]string{"id": "tiny", "owned_by": "vllm"}}}
		case "/tokenize":
			var text string
			_ = json.Unmarshal(q.Prompt, &text)
			answer = map[string]any{"tokens": tokenizer.Encode(text, false, true)}
		case "/v1/completions":
			var ids []int32
			if err := json.Unmarshal(q.Prompt, &ids); err != nil {
				t.Error(err)
			}
			words := tokenizer.Encode(" saw the hen and the cat", false, true)
			drawn := make([]int32, q.Most)
			for i := range drawn {
				drawn[i] = words[(q.Seed%len(words)+i)%len(words)]
			}
			answer = map[string]any{"choices": []any{map[string]any{"index": 0, "token_ids": drawn, "prompt_token_ids": ids, "finish_reason": "length"}}}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(h.Close)
	return h.URL
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
