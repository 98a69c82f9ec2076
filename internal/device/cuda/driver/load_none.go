//go:build nogpu || !(linux || windows) || !(amd64 || arm64)

package driver

func places() []string { return nil }

func load(string) (resolver, error) { return nil, ErrNoDriver }

// invoke is never reached: without places no library opens.
func invoke(uintptr, ...uintptr) int { return codeNoDevice }
