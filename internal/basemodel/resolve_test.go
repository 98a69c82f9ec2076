package basemodel_test

import (
	"path/filepath"
	"strings"
	"testing"

	"align/internal/basemodel"
	"align/internal/fixture"
)

func TestAModelOfTheOllamaStoreIsFound(t *testing.T) {
	store := t.TempDir()
	t.Setenv("OLLAMA_MODELS", store)
	blob := fixture.Write(t, "GGUF", store, "blobs", "sha256-"+strings.Repeat("a", 64))
	fixture.Write(t, `{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:`+strings.Repeat("a", 64)+`"}]}`,
		store, "manifests", "registry.ollama.ai", "library", "llama3.2", "latest")
	if got, err := basemodel.Resolve("ollama:llama3.2"); err != nil || got != blob {
		t.Errorf("%q, %v, want %q", got, err, blob)
	}
}

func TestModelsOfTheHuggingFaceCacheAreFound(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HF_HUB_CACHE", "")
	t.Setenv("HF_HOME", home)
	hub := filepath.Join(home, "hub")
	commit := strings.Repeat("0a", 20)
	fixture.Write(t, commit+"\n", hub, "models--org--name", "refs", "main")
	snapshot := filepath.Dir(fixture.Write(t, "{}", hub, "models--org--name", "snapshots", commit, "config.json"))
	fixture.Write(t, commit, hub, "models--org--file", "refs", "main")
	file := fixture.Write(t, "GGUF", hub, "models--org--file", "snapshots", commit, "x.gguf")
	fixture.Write(t, commit, hub, "models--org--gone", "refs", "main")
	fixture.Write(t, "../../..", hub, "models--org--hostile", "refs", "main")
	for name, want := range map[string]string{"org/name": snapshot, "org/file": file} {
		if got, err := basemodel.Resolve(name); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"org/none":    "neither a path nor in the Hugging Face cache",
		"org/gone":    "a snapshot that is not there",
		"org/hostile": "want the 40 digits of a commit",
		"org/x.gguf":  "no such file",
		"./org/name":  "no such file",
		"none":        "no such file",
		"":            "model is missing",
	} {
		got, err := basemodel.Resolve(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want an error with %q", name, got, err, want)
		}
	}
	t.Setenv("HF_HUB_CACHE", hub)
	t.Setenv("HF_HOME", "elsewhere")
	if got, err := basemodel.Resolve("org/name"); err != nil || got != snapshot {
		t.Errorf("HF_HUB_CACHE: %q, %v", got, err)
	}
}

func TestAFileThatIsNoGGUFIsNoModel(t *testing.T) {
	_, err := basemodel.Resolve(fixture.Write(t, "text", t.TempDir(), "data.jsonl"))
	if err == nil || !strings.Contains(err.Error(), "is a file and no GGUF") {
		t.Errorf("error is %v", err)
	}
}
