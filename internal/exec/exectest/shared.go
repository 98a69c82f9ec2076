package exectest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
)

// Shared is the path of a file in the folder of reference values: ../shared
// beside the module, or where ALIGN_SHARED says. A test without it is skipped,
// or fails where ALIGN_REQUIRE_SHARED is 1.
func Shared(t testing.TB, elements ...string) string {
	t.Helper()
	dir := os.Getenv("ALIGN_SHARED")
	if dir == "" {
		dir = filepath.Join(moduleRoot(t), "..", "shared")
	}
	path := filepath.Join(append([]string{dir}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("ALIGN_REQUIRE_SHARED") == "1" {
			t.Fatalf("reference values are required and absent: %v", err)
		}
		t.Skipf("no reference values: %v", err)
	}
	return path
}

// moduleRoot is the nearest folder upwards that holds go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

// Golden reads a JSON file of reference values into v.
func Golden(t testing.TB, v any, elements ...string) {
	t.Helper()
	data, err := os.ReadFile(Shared(t, append([]string{"golden"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}
