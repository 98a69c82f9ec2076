// Package ollama finds models in Ollama's local store: [Model] is the GGUF file behind a
// name. It asks no server and reads no weights.
package ollama

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"

	"align/internal/host"
)

// Prefix marks the name of a model in the local Ollama store.
const Prefix = "ollama:"

// modelType is the media type of the layer that holds the weights
// (Ollama, server/images.go).
const modelType = "application/vnd.ollama.image.model"

// digestForm is a layer's digest; its blob has a dash for the colon.
var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// store is where Ollama keeps models: $OLLAMA_MODELS or ~/.ollama/models.
func store() (string, error) {
	if dir := os.Getenv("OLLAMA_MODELS"); dir != "" {
		return host.UnderHome(dir), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("model: the Ollama store: %w: set OLLAMA_MODELS", err)
	}
	return filepath.Join(home, ".ollama", "models"), nil
}

// manifestOf is the path of a name's manifest in the store: names without
// an owner are in library, without a host of registry.ollama.ai.
func manifestOf(name string) (string, error) {
	bare, tag, ok := strings.Cut(name, ":")
	if !ok {
		tag = "latest"
	}
	parts := append(strings.Split(bare, "/"), tag)
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || strings.ContainsAny(p, `\:`) {
			return "", fmt.Errorf("model: %q is no name of an Ollama model: want ollama:NAME[:TAG]", Prefix+name)
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

// Model is the GGUF blob of a model in the local Ollama store.
func Model(name string) (string, error) {
	root, err := store()
	if err != nil {
		return "", err
	}
	manifest, err := manifestOf(name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, manifest)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("model: %s%s is not in the Ollama store (%w): ollama pull %s fetches it, OLLAMA_MODELS names another store", Prefix, name, err, name)
	}
	digest, err := weights(data)
	if err != nil {
		return "", fmt.Errorf("model: %s: %w", path, err)
	}
	blob := filepath.Join(root, "blobs", strings.Replace(digest, ":", "-", 1))
	if _, err := os.Stat(blob); err != nil {
		return "", fmt.Errorf("model: %s%s: its manifest names weights that are not there: %w", Prefix, name, err)
	}
	return blob, nil
}

// weights is the digest of the layer of weights in a manifest.
func weights(manifest []byte) (string, error) {
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
		if l.MediaType == modelType {
			digests = append(digests, l.Digest)
		}
	}
	switch {
	case len(digests) == 0:
		return "", errors.New("no layer is of weights: " + modelType)
	case len(digests) > 1:
		return "", fmt.Errorf("%d layers are of weights: only a model in one file can be used", len(digests))
	case !digestForm.MatchString(digests[0]):
		return "", fmt.Errorf("digest %q is not sha256: and 64 digits", digests[0])
	}
	return digests[0], nil
}
