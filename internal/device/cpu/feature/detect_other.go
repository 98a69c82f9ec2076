//go:build !amd64 && !arm64

package feature

func detect() Level { return Generic }

func fastest() (Level, string) { return Generic, "" }
