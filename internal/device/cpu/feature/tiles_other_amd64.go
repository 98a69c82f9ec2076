//go:build !linux

package feature

// permitTiles is false: how other systems give tiles to a process is not known here.
func permitTiles() bool { return false }
