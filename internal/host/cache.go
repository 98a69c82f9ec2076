package host

import (
	"os"
	"path/filepath"
)

// CacheDir is $ALIGN_CACHE, or align in the user's cache folder.
func CacheDir() string {
	if dir := os.Getenv("ALIGN_CACHE"); dir != "" {
		return UnderHome(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "align")
}
