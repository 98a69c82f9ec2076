//go:build !unix

package atomicfile

// Windows journals the names in a folder itself and has no call to flush them.
func syncDir(string) error { return nil }
