package ollama_test

import (
	"path/filepath"
	"strings"
	"testing"

	"align/internal/fixture"
	"align/internal/ollama"
)

// digestOf is a digest of the form that manifests hold.
func digestOf(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func manifest(digests ...string) string {
	layers := []string{`{"mediaType": "application/vnd.ollama.image.template", "digest": "` + digestOf("e") + `"}`}
	for _, d := range digests {
		layers = append(layers, `{"mediaType": "application/vnd.ollama.image.model", "digest": "`+d+`"}`)
	}
	return `{"schemaVersion": 2, "layers": [` + strings.Join(layers, ", ") + `]}`
}

func TestModelsOfTheOllamaStoreAreFound(t *testing.T) {
	store := t.TempDir()
	t.Setenv("OLLAMA_MODELS", store)
	library := filepath.Join(store, "manifests", "registry.ollama.ai", "library")
	blob := fixture.Write(t, "GGUF", store, "blobs", strings.Replace(digestOf("a"), ":", "-", 1))
	fixture.Write(t, manifest(digestOf("a")), library, "llama3.2", "latest")
	fixture.Write(t, manifest(digestOf("a")), library, "llama3.2", "1b")
	fixture.Write(t, manifest(digestOf("a")), store, "manifests", "registry.ollama.ai", "someone", "mine", "latest")
	fixture.Write(t, manifest(digestOf("b")), library, "lost", "latest")
	fixture.Write(t, manifest(), library, "empty", "latest")
	fixture.Write(t, manifest(digestOf("a"), digestOf("a")), library, "two", "latest")
	fixture.Write(t, manifest("sha256:../../x"), library, "hostile", "latest")
	fixture.Write(t, "{", library, "broken", "latest")
	for _, name := range []string{"llama3.2", "llama3.2:1b", "someone/mine"} {
		if got, err := ollama.Model(name); err != nil || got != blob {
			t.Errorf("%s: %q, %v, want %q", name, got, err, blob)
		}
	}
	for name, want := range map[string]string{
		"none":        "ollama pull none",
		"llama3.2:3b": "ollama:llama3.2:3b is not in the Ollama store",
		"lost":        "weights that are not there",
		"empty":       "no layer is of weights",
		"two":         "2 layers are of weights",
		"hostile":     "is not sha256: and 64 digits",
		"broken":      "latest: ",
		"":            "want ollama:NAME[:TAG]",
		"../x":        "want ollama:NAME[:TAG]",
		"a:..":        "want ollama:NAME[:TAG]",
	} {
		got, err := ollama.Model(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v, want an error with %q", name, got, err, want)
		}
	}
}
