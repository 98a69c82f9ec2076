package hub

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"align/internal/host"
)

// Cache is the local Hugging Face cache, where huggingface_hub looks for it
// (huggingface_hub, constants.py).
func Cache() (string, error) {
	if dir := os.Getenv("HF_HUB_CACHE"); dir != "" {
		return host.UnderHome(dir), nil
	}
	dir, err := home()
	if err != nil {
		return "", fmt.Errorf("model: the Hugging Face cache: %w: set HF_HUB_CACHE", err)
	}
	return filepath.Join(dir, "hub"), nil
}

// home is the folder that holds huggingface_hub's cache and token.
func home() (string, error) {
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return host.UnderHome(dir), nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(host.UnderHome(dir), "huggingface"), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "huggingface"), err
}

// IsName says whether a name is one of the hub's, OWNER/NAME (huggingface_hub,
// validate_repo_id).
func IsName(name string) bool { return repoName.MatchString(name) }

// repoFolder is a model's folder in a cache.
func repoFolder(cache, name string) string {
	return filepath.Join(cache, "models--"+strings.ReplaceAll(name, "/", "--"))
}

// Cached is the snapshot of a model's main branch in the local cache, or the one GGUF
// file of a snapshot without config.json. Nothing is fetched.
func Cached(name string) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	repo := repoFolder(cache, name)
	ref := filepath.Join(repo, "refs", "main")
	data, err := os.ReadFile(ref)
	if err != nil {
		return "", fmt.Errorf("model: %s is neither a path nor in the Hugging Face cache (%w): align pull %s fetches it; HF_HUB_CACHE or HF_HOME name another cache", name, err, name)
	}
	commit := strings.TrimSpace(string(data))
	if !commitID.MatchString(commit) {
		return "", fmt.Errorf("model: %s holds %.60q: want the 40 digits of a commit", ref, commit)
	}
	snapshot := filepath.Join(repo, "snapshots", commit)
	if _, err := os.Stat(snapshot); err != nil {
		return "", fmt.Errorf("model: %s: its main branch is a snapshot that is not there: %w", name, err)
	}
	return weightsOf(snapshot)
}

// weightsOf is the snapshot itself, or the one GGUF file of one that has no
// config.json.
func weightsOf(snapshot string) (string, error) {
	if _, err := os.Stat(filepath.Join(snapshot, "config.json")); err == nil {
		return snapshot, nil
	}
	files, err := filepath.Glob(filepath.Join(snapshot, "*.gguf"))
	switch {
	case err != nil:
		return "", err
	case len(files) == 1:
		return files[0], nil
	case len(files) > 1:
		return "", fmt.Errorf("model: %s holds %d GGUF files: name one of them by its path", snapshot, len(files))
	}
	return snapshot, nil
}
