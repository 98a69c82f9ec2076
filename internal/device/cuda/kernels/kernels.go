// Package kernels holds the PTX of NVIDIA's cards, made by clang from the .cu
// files beside it (build.sh) and committed: building and testing the project
// needs no compiler for it. manifest.json ties each text to its source. The texts are
// packed, which leaves a tenth of five megabytes, and unpacked when a card asks for one.
package kernels

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

//go:generate ./build.sh

//go:embed ptx
var texts embed.FS

// packed ends the name of a text's file.
const packed = ".ptx.zst"

// PTX is the text of NAME.cu: for compute capability 8.0 and later, or, where
// it is for Hopper, for 9.0 alone.
func PTX(name string) (string, error) {
	raw, err := texts.ReadFile(folder(name) + "/" + name + packed)
	if err != nil {
		return "", fmt.Errorf("cuda: no kernels %q in this build", name)
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return "", fmt.Errorf("cuda: kernels %q: %w", name, err)
	}
	defer r.Close()
	text, err := r.DecodeAll(raw, nil)
	if err != nil {
		return "", fmt.Errorf("cuda: kernels %q: %w", name, err)
	}
	return string(text), nil
}

func folder(name string) string {
	if Hopper(name) {
		return "ptx/sm90a"
	}
	return "ptx/sm80"
}

// Hopper says whether a file's PTX is for compute capability 9.0 alone.
func Hopper(name string) bool { return strings.HasSuffix(name, "_sm90") || Bulk(name) }

// Bulk says whether a file's kernels are fed by the copy engine (TMA) of capability 9.0:
// their PTX is of version 8.3, which drivers for CUDA 12.3 and later read.
func Bulk(name string) bool { return strings.HasSuffix(name, "_tma") }

// Names lists the files that have PTX, in alphabetical order.
func Names() []string {
	// The pattern is a constant and the folder is embedded: no error is possible.
	found, _ := fs.Glob(texts, "ptx/*/*"+packed)
	for i, name := range found {
		found[i] = strings.TrimSuffix(path.Base(name), packed)
	}
	slices.Sort(found)
	return found
}
