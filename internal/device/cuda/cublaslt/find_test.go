package cublaslt

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// The library writes a result whole.
func TestResultHasTheLibrarysSize(t *testing.T) {
	if n := unsafe.Sizeof(result{}); n != 96 {
		t.Errorf("a result has %d bytes: want 96", n)
	}
}

func TestPlacesInOrder(t *testing.T) {
	env := map[string]string{"CUDA_HOME": "/cuda", "CONDA_PREFIX": "/conda", "HOME": "/home/a"}
	files := map[string]bool{
		"/cuda/lib64/libcublasLt.so.12": true, "/conda/lib/libcublasLt.so.13": true, "/conda/lib/libcublasLt.so.12": true,
	}
	var asked []string
	m := machine{
		func(name string) string { return env[name] },
		func(pattern string) ([]string, error) {
			asked = append(asked, pattern)
			if files[pattern] {
				return []string{pattern}, nil
			}
			return nil, nil
		},
	}
	want := []string{"libcublasLt.so.12", "libcublasLt.so.11", "/cuda/lib64/libcublasLt.so.12", "/conda/lib/libcublasLt.so.12"}
	if got := m.places(12); !slices.Equal(got, want) {
		t.Errorf("places for a driver of CUDA 12: %q: want %q", got, want)
	}
	if !slices.ContainsFunc(asked, func(p string) bool { return strings.HasPrefix(p, "/home/a/.local/lib/python3*/") }) {
		t.Error("Python's wheels of the user were not looked for")
	}
	if got := m.places(13); got[0] != "libcublasLt.so.13" {
		t.Errorf("first place for a driver of CUDA 13: %q", got[0])
	}
	env[Variable] = "auto"
	if got := m.places(12); !slices.Equal(got, want) {
		t.Errorf("with %s=auto: %q: want %q", Variable, got, want)
	}
	env[Variable] = "/mine.so"
	if got := m.places(12); !slices.Equal(got, []string{"/mine.so"}) {
		t.Errorf("with %s set: %q", Variable, got)
	}
}

// Debian's Python has its packages in another folder than a virtual environment.
func TestWheelsOfEveryPythonAreFound(t *testing.T) {
	for _, folder := range []string{"site-packages/nvidia/cublas", "dist-packages/nvidia/cublas", "site-packages/nvidia/cu13"} {
		root := t.TempDir()
		library := filepath.Join(root, "lib/python3.12", folder, "lib/libcublasLt.so.13")
		if err := errors.Join(os.MkdirAll(filepath.Dir(library), 0o755), os.WriteFile(library, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		m := machine{func(name string) string { return map[string]string{"VIRTUAL_ENV": root}[name] }, filepath.Glob}
		if got := m.places(13); !slices.Contains(got, library) {
			t.Errorf("%s is not among %q", library, got)
		}
	}
}
