// Package kernels holds the PTX of NVIDIA's cards, made by clang from the .cu
// files beside it (build.sh) and committed: building and testing the project
// needs no compiler for it. manifest.json ties each text to its source.
package kernels

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:generate ./build.sh

//go:embed ptx
var texts embed.FS

// PTX is the text of NAME.cu for compute capability 8.0 and later.
func PTX(name string) (string, error) {
	text, err := texts.ReadFile("ptx/sm80/" + name + ".ptx")
	if err != nil {
		return "", fmt.Errorf("cuda: no kernels %q in this build", name)
	}
	return string(text), nil
}

// Names lists the files that have PTX, in alphabetical order.
func Names() []string {
	// The pattern is a constant and the folder is embedded: no error is possible.
	found, _ := fs.Glob(texts, "ptx/sm80/*.ptx")
	for i, name := range found {
		found[i] = strings.TrimSuffix(path.Base(name), ".ptx")
	}
	return found
}
