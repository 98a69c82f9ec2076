package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"align/internal/host"
)

// Address is where models come from: the hub that HF_ENDPOINT names, or Hugging Face's.
func Address() string {
	if address := os.Getenv("HF_ENDPOINT"); address != "" {
		return address
	}
	return "https://huggingface.co"
}

// CheckOnline keeps to huggingface_hub's switch for a machine without a network
// (constants.py).
func CheckOnline(model string) error {
	for _, v := range []struct{ name, value string }{
		{"HF_HUB_OFFLINE", os.Getenv("HF_HUB_OFFLINE")},
		{"TRANSFORMERS_OFFLINE", os.Getenv("TRANSFORMERS_OFFLINE")},
	} {
		if !slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(v.value)) {
			continue
		}
		if path, err := Cached(model); err == nil {
			return fmt.Errorf("hub: %s is %s, so nothing is fetched: %s is in the cache, at %s", v.name, v.value, model, path)
		}
		return fmt.Errorf("hub: %s is %s, so nothing is fetched: unset it to pull %s", v.name, v.value, model)
	}
	return nil
}

// Token is $HF_TOKEN, or what stands in the file that huggingface_hub keeps
// it in, which none but its owner may read; "" is none. unusable says why there is
// a file and no token: most models need none, so that it is no error yet.
func Token() (token string, unusable error) {
	if token := strings.TrimSpace(os.Getenv("HF_TOKEN")); token != "" {
		return token, nil
	}
	path := host.UnderHome(os.Getenv("HF_TOKEN_PATH"))
	if path == "" {
		dir, err := home()
		if err != nil {
			return "", nil // no home, no file
		}
		path = filepath.Join(dir, "token")
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	// Windows has no such bits.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others (mode %#o): chmod 600 it, or set HF_TOKEN", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(data)), nil
}
