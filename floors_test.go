// Package floors holds no code: its test keeps the module's imports going down.
package floors

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors lists all packages from the lowest floor up. A package imports only
// packages of lower floors. If this test fails, change the import: a change
// of the list is a change of the architecture and of ARCHITECTURE.md.
var floors = [][]string{
	{"internal/half", "internal/jsonfile", "internal/tensorfile", "internal/winrate", "internal/work", "internal/fixture"},
	{"internal/nearest", "internal/host", "internal/atomicfile", "internal/tokenizer", "internal/safetensors", "internal/gguf", "internal/records", "internal/device/cpu/kern/gen", "internal/device/cuda/fakecublaslt", "internal/device/cuda/kernels", "internal/device/cuda/dlopen", "internal/device/cuda/ptxsim", "internal/builtin/corpus", "internal/tensorboard", "internal/mlflow"},
	{"internal/atomicfile/crashfs", "internal/builtin", "internal/builtin/sums", "internal/config", "internal/place", "internal/hub", "internal/ollama", "internal/device", "internal/device/cuda/fakedriver", "internal/device/cuda/cublaslt"},
	{"internal/device/cpu/feature", "internal/device/contract", "internal/device/proof", "internal/foreign", "internal/device/cuda/driver"},
	{"internal/device/cpu/kern", "internal/device/cuda/cudatest"},
	{"internal/device/cpu/gemm"},
	{"internal/device/devicetest"},
	{"internal/graph", "internal/device/cpu", "internal/device/cuda"},
	{"datasets", "internal/exec"},
	{"internal/exec/exectest"},
	{"model", "internal/checkpoint", "internal/optim"},
	{"internal/train", "internal/cost", "internal/compute"},
	{"internal/rollout", "internal/score", "internal/report", "internal/doctor"},
	{"sft", "dpo", "reward", "ppo", "rejection"},
	{"internal/bench", "internal/runfolder"},
	{"internal/basemodel"},
	{"internal/export", "internal/plan"},
	{"align"},
	{"align/rounds"},
	{"cmd/align", "internal/builtin/build"},
}

// rooms lists the third-party modules that stay in some packages; elsewhere
// their names must not be seen.
var rooms = map[string][]string{
	"gorgonia.org/gorgonia":        {"internal/graph", "internal/exec", "internal/exec/exectest"},
	"gorgonia.org/tensor":          {"internal/graph", "internal/exec", "internal/exec/exectest"},
	"github.com/spf13/cobra":       {"cmd/align", "internal/builtin/build"},
	"github.com/ebitengine/purego": {"internal/device/cuda/cublaslt", "internal/device/cuda/dlopen", "internal/device/cuda/fakecublaslt", "internal/device/cuda/driver", "internal/device/cuda/fakedriver"},
}

// besideRooms are packages whose tests may see such a module too: a benchmark opens
// OpenBLAS.
var besideRooms = map[string][]string{"github.com/ebitengine/purego": {"internal/device/cpu/gemm"}}

// benches are packages made for tests. An external test imports the one that
// stands on its own package.
var benches = []string{"internal/atomicfile/crashfs", "internal/device/devicetest", "internal/exec/exectest"}

// forTests are packages that no program is built with; of one another they may
// know.
var forTests = []string{"internal/device/cuda/cudatest", "internal/device/cuda/fakecublaslt", "internal/device/cuda/fakedriver", "internal/device/cuda/ptxsim", "internal/fixture"}

// module is the prefix of our own import paths.
const module = "align/"

func TestImportsGoDown(t *testing.T) {
	floorOf := map[string]int{}
	for floor, packages := range floors {
		for _, p := range packages {
			floorOf[p] = floor
		}
	}
	for _, i := range imports(t) {
		from, listed := floorOf[i.from]
		if !listed {
			t.Errorf("%s: package %s is not on the list of floors", i.file, i.from)
			continue
		}
		target, own := strings.CutPrefix(i.path, module)
		if !own || i.external && (target == i.from || slices.Contains(benches, target)) {
			continue
		}
		to, listed := floorOf[target]
		switch {
		case !listed:
			t.Errorf("%s imports %s, which is not on the list of floors", i.file, target)
		case to >= from:
			t.Errorf("%s: %s (floor %d) imports %s (floor %d): imports go down only", i.file, i.from, from, target, to)
		}
	}
}

func TestThirdPartiesStayInTheirRooms(t *testing.T) {
	for _, i := range imports(t) {
		for name, packages := range rooms {
			inside := i.path == name || strings.HasPrefix(i.path, name+"/")
			if strings.HasSuffix(i.file, "_test.go") {
				packages = slices.Concat(packages, besideRooms[name])
			}
			if inside && !slices.Contains(packages, i.from) {
				t.Errorf("%s imports %s, which only %s may", i.file, i.path, strings.Join(packages, ", "))
			}
		}
	}
}

// A program has no simulated card.
func TestTheSimulatorStaysInTests(t *testing.T) {
	for _, i := range imports(t) {
		target := strings.TrimPrefix(i.path, module)
		if slices.Contains(forTests, target) && !slices.Contains(forTests, i.from) && !strings.HasSuffix(i.file, "_test.go") {
			t.Errorf("%s imports %s, which only tests may", i.file, target)
		}
	}
}

// imported is one import of one file.
type imported struct {
	file, from, path string
	external         bool // the file is of package x_test
}

// imports parses all files itself: what `go list` prints is no input of the
// test cache, so a test that asks it would miss a change.
func imports(t *testing.T) []imported {
	t.Helper()
	var all []imported
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go" || filepath.Dir(path) == ".":
			return nil
		}
		found, err := importsOf(path)
		all = append(all, found...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func importsOf(path string) ([]imported, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	// A file without imports still makes its package stand somewhere.
	from := imported{file: path, from: filepath.ToSlash(filepath.Dir(path)), external: strings.HasSuffix(file.Name.Name, "_test")}
	all := []imported{from}
	for _, spec := range file.Imports {
		i := from
		if i.path, err = strconv.Unquote(spec.Path.Value); err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}
