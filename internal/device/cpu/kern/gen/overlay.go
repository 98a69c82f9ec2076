package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
)

var (
	//go:embed testdata/tiles_amd64.go
	emulatedDetection []byte
	//go:embed testdata/emulated_amd64_test.go
	emulatedTest []byte
)

// emulation is the files, by their place from package kern's folder, that give
// the tests the level amx on a processor without AMX: those of the package that have
// its instructions, the routines and their test, and one of package feature.
func emulation() map[string][]byte {
	routines := newFile(&declarations{}, true)
	emitEmulated(routines)
	files := map[string][]byte{
		"emulated_amd64.s":          routines.bytes(),
		"emulated_amd64_test.go":    emulatedTest,
		"../feature/tiles_amd64.go": emulatedDetection,
	}
	for name, text := range generate(true) {
		if bytes.Contains(text, []byte(emulatedCall)) {
			files[name] = text
		}
	}
	return files
}

// writeEmulation writes the files to a folder, and overlay.json, with which
// go build and go test take them in place of those in dir, package kern's.
func writeEmulation(dir, to string) error {
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for name, text := range emulation() {
		place, err := filepath.Abs(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		file, err := filepath.Abs(filepath.Join(to, filepath.Base(name)))
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
		overlay.Replace[place] = file
	}
	text, err := json.MarshalIndent(overlay, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "overlay.json"), text, 0o644)
}
