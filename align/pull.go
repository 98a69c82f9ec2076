package align

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"align/internal/hub"
)

// defaultHub is where models come from unless HF_ENDPOINT names another hub.
const defaultHub = "https://huggingface.co"

// mainBranch is the revision that ResolveModel takes of a model in the cache.
const mainBranch = "main"

// PullOptions say what to fetch.
type PullOptions struct {
	// Name is OWNER/NAME on the hub, Revision a branch, tag or commit; "" is main.
	Name, Revision string
}

// Pull fetches a model into the local Hugging Face cache. It is the only thing
// here that uses the network, and sends nothing but the request and, to the hub
// alone, the token.
func Pull(ctx context.Context, o PullOptions, env Environment) (hub.Snapshot, error) {
	if o.Revision == "" {
		o.Revision = mainBranch
	}
	if err := checkOnline(o.Name); err != nil {
		return hub.Snapshot{}, err
	}
	cache, err := hubCache()
	if err != nil {
		return hub.Snapshot{}, err
	}
	token, err := hubToken()
	if err != nil {
		return hub.Snapshot{}, err
	}
	base := os.Getenv("HF_ENDPOINT")
	if base == "" {
		base = defaultHub
	}
	c := hub.NewClient(base, token)
	c.Progress = func(file string, done, total int64) { env.progress("fetching "+file)(done, total) }
	s, err := c.Pull(ctx, cache, o.Name, o.Revision)
	if err != nil {
		return s, err
	}
	env.note(fmt.Sprintf("%s at %s: %d files of %.1f MB, %.1f MB of them fetched", o.Name, s.Commit[:12], len(s.Files), float64(s.Bytes)/1e6, float64(s.Fetched)/1e6))
	if o.Revision != mainBranch {
		env.note(fmt.Sprintf("revision: %s alone means main: name the folder as --model", o.Name))
	}
	return s, nil
}

// checkOnline keeps to huggingface_hub's switch for a machine without a network
// (constants.py).
func checkOnline(model string) error {
	for _, v := range []struct{ name, value string }{
		{"HF_HUB_OFFLINE", os.Getenv("HF_HUB_OFFLINE")},
		{"TRANSFORMERS_OFFLINE", os.Getenv("TRANSFORMERS_OFFLINE")},
	} {
		if !slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(v.value)) {
			continue
		}
		if path, err := hubModel(model); err == nil {
			return fmt.Errorf("hub: %s is %s, so nothing is fetched: %s is in the cache, at %s", v.name, v.value, model, path)
		}
		return fmt.Errorf("hub: %s is %s, so nothing is fetched: unset it to pull %s", v.name, v.value, model)
	}
	return nil
}

// hubToken is $HF_TOKEN, or what stands in the file that huggingface_hub keeps
// it in, which none but its owner may read; "" is none.
func hubToken() (string, error) {
	if token := strings.TrimSpace(os.Getenv("HF_TOKEN")); token != "" {
		return token, nil
	}
	path := underHome(os.Getenv("HF_TOKEN_PATH"))
	if path == "" {
		home, err := hubHome()
		if err != nil {
			return "", nil // no home, no file
		}
		path = filepath.Join(home, "token")
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("hub: the token: %w", err)
	}
	// Windows has no such bits.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return "", fmt.Errorf("hub: %s can be read by others (mode %#o): chmod 600 it, or set HF_TOKEN", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("hub: the token: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
