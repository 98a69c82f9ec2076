package align

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
)

// ollamaModelType is the media type of the layer that holds the weights
// (Ollama, server/images.go).
const ollamaModelType = "application/vnd.ollama.image.model"

// ollamaDigest is a layer's digest; its blob has a dash for the colon.
var ollamaDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ollamaStore is where Ollama keeps models: $OLLAMA_MODELS or ~/.ollama/models.
func ollamaStore() (string, error) {
	if dir := os.Getenv("OLLAMA_MODELS"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("model: the Ollama store: %w: set OLLAMA_MODELS", err)
	}
	return filepath.Join(home, ".ollama", "models"), nil
}

// ollamaManifest is the path of a name's manifest in the store: names without
// an owner are in library, without a host of registry.ollama.ai.
func ollamaManifest(name string) (string, error) {
	bare, tag, ok := strings.Cut(name, ":")
	if !ok {
		tag = "latest"
	}
	parts := append(strings.Split(bare, "/"), tag)
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || strings.ContainsAny(p, `\:`) {
			return "", fmt.Errorf("model: %q is no name of an Ollama model: want ollama:NAME[:TAG]", ollamaPrefix+name)
		}
	}
	switch len(parts) {
	case 2:
		parts = append([]string{"registry.ollama.ai", "library"}, parts...)
	case 3:
		parts = append([]string{"registry.ollama.ai"}, parts...)
	}
	return filepath.Join(append([]string{"manifests"}, parts...)...), nil
}

// ollamaModel is the GGUF blob of a model in the local Ollama store.
func ollamaModel(name string) (string, error) {
	store, err := ollamaStore()
	if err != nil {
		return "", err
	}
	manifest, err := ollamaManifest(name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(store, manifest)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("model: %s%s is not in the Ollama store (%w): ollama pull %s fetches it, OLLAMA_MODELS names another store", ollamaPrefix, name, err, name)
	}
	digest, err := ollamaWeights(data)
	if err != nil {
		return "", fmt.Errorf("model: %s: %w", path, err)
	}
	blob := filepath.Join(store, "blobs", strings.Replace(digest, ":", "-", 1))
	if _, err := os.Stat(blob); err != nil {
		return "", fmt.Errorf("model: %s%s: its manifest names weights that are not there: %w", ollamaPrefix, name, err)
	}
	return blob, nil
}

// ollamaWeights is the digest of the layer of weights in a manifest.
func ollamaWeights(manifest []byte) (string, error) {
	var m struct {
		Layers []struct {
			MediaType string `json:"mediaType"`
			Digest    string `json:"digest"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return "", err
	}
	var digests []string
	for _, l := range m.Layers {
		if l.MediaType == ollamaModelType {
			digests = append(digests, l.Digest)
		}
	}
	switch {
	case len(digests) == 0:
		return "", errors.New("no layer is of weights: " + ollamaModelType)
	case len(digests) > 1:
		return "", fmt.Errorf("%d layers are of weights: only a model in one file can be used", len(digests))
	case !ollamaDigest.MatchString(digests[0]):
		return "", fmt.Errorf("digest %q is not sha256: and 64 digits", digests[0])
	}
	return digests[0], nil
}
