package align

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// hubCache is the local Hugging Face cache, where huggingface_hub looks for it
// (huggingface_hub, constants.py).
func hubCache() (string, error) {
	if dir := os.Getenv("HF_HUB_CACHE"); dir != "" {
		return underHome(dir), nil
	}
	home, err := hubHome()
	if err != nil {
		return "", fmt.Errorf("model: the Hugging Face cache: %w: set HF_HUB_CACHE", err)
	}
	return filepath.Join(home, "hub"), nil
}

// hubHome is the folder that holds huggingface_hub's cache and token.
func hubHome() (string, error) {
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return underHome(dir), nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(underHome(dir), "huggingface"), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "huggingface"), err
}

// underHome is a path whose ~ a shell left as it is, as in a .env file.
func underHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	home, err := os.UserHomeDir()
	if !ok || err != nil || rest != "" && !os.IsPathSeparator(rest[0]) {
		return path
	}
	return home + rest
}

// hubCommit is what refs/main holds: the name of a snapshot.
var hubCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// hubModel is the snapshot of a model's main branch in the local cache.
func hubModel(name string) (string, error) {
	cache, err := hubCache()
	if err != nil {
		return "", err
	}
	repo := filepath.Join(cache, "models--"+strings.ReplaceAll(name, "/", "--"))
	ref := filepath.Join(repo, "refs", "main")
	data, err := os.ReadFile(ref)
	if err != nil {
		return "", fmt.Errorf("model: %s is neither a path nor in the Hugging Face cache (%w): align pull %s fetches it; HF_HUB_CACHE or HF_HOME name another cache", name, err, name)
	}
	commit := strings.TrimSpace(string(data))
	if !hubCommit.MatchString(commit) {
		return "", fmt.Errorf("model: %s holds %.60q: want the 40 digits of a commit", ref, commit)
	}
	snapshot := filepath.Join(repo, "snapshots", commit)
	if _, err := os.Stat(snapshot); err != nil {
		return "", fmt.Errorf("model: %s: its main branch is a snapshot that is not there: %w", name, err)
	}
	return hubWeights(snapshot)
}

// hubWeights is the snapshot itself, or the one GGUF file of one that has no
// config.json.
func hubWeights(snapshot string) (string, error) {
	if has(snapshot, "config.json") {
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
