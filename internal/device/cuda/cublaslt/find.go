package cublaslt

import (
	"fmt"
	"os"
	"path/filepath"
)

// Variable names the environment's variable that asks for the library: its path,
// or "auto" for the usual places.
const Variable = "ALIGN_CUBLASLT"

const searched = "auto"

// machine is what a search looks at.
type machine struct {
	variable func(name string) string
	matches  func(pattern string) ([]string, error)
}

func thisMachine() machine { return machine{os.Getenv, filepath.Glob} }

// majors are the library's major versions, the wanted one first. A driver
// serves those up to its own CUDA.
var majors = []int{13, 12, 11}

// places are where the library may lie, in order, for a driver of the given
// CUDA major version: the loader's own search, CUDA's toolkit, conda, Python's
// wheels and ollama.
func (m machine) places(driverMajor int) []string {
	if p := m.variable(Variable); p != "" && p != searched {
		return []string{p}
	}
	var list []string
	for _, folder := range append([]string{""}, m.folders()...) {
		for _, major := range majors {
			if major > driverMajor {
				continue
			}
			name := fmt.Sprintf("libcublasLt.so.%d", major)
			if folder == "" {
				list = append(list, name)
				continue
			}
			found, _ := m.matches(filepath.Join(folder, name)) // its one error is a bad pattern
			list = append(list, found...)
		}
	}
	return list
}

// folders are patterns of folders outside the loader's search.
func (m machine) folders() []string {
	var list []string
	under := func(variable string, folders ...string) {
		if root := m.variable(variable); root != "" {
			for _, f := range folders {
				list = append(list, filepath.Join(root, f))
			}
		}
	}
	toolkit := []string{"lib64", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"}
	under("CUDA_HOME", toolkit...)
	under("CUDA_PATH", toolkit...)
	for _, f := range toolkit {
		list = append(list, filepath.Join("/usr/local/cuda*", f))
	}
	list = append(list, "/opt/cuda/lib64")
	under("CONDA_PREFIX", "lib")
	// Debian's Python keeps packages in dist-packages, others in site-packages.
	const wheels = "lib/python3*/*-packages/nvidia/"
	packages := []string{wheels + "cublas/lib", wheels + "cu13/lib"}
	under("VIRTUAL_ENV", packages...)
	under("HOME", filepath.Join(".local", packages[0]), filepath.Join(".local", packages[1]))
	for _, root := range []string{"/usr/local", "/usr"} {
		list = append(list, filepath.Join(root, packages[0]), filepath.Join(root, packages[1]))
	}
	return append(list, "/usr/lib/ollama/cuda_v1[23]", "/usr/local/lib/ollama/cuda_v1[23]")
}
