package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// The help topic names every variable that the program reads. Those that
// only the tests' own packages read are no business of a user.
func TestEnvironmentTopicIsComplete(t *testing.T) {
	topic := newEnvironmentTopic().Long
	read := regexp.MustCompile(`(?:Getenv|LookupEnv)\("([A-Z_]+)"\)`)
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "fixture") || strings.Contains(path, "cudatest") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range read.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(topic, m[1]) {
				t.Errorf("%s reads %s, which `align help environment` does not list", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A run on fewer threads than the machine has keeps Go to them; more are not made.
func TestLimitThreads(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	for _, c := range []struct{ asked, want int }{{all + 1, all}, {all, all}, {1, 1}} {
		limitThreads(c.asked)
		if got := runtime.GOMAXPROCS(0); got != c.want {
			t.Errorf("asked for %d of %d, got %d", c.asked, all, got)
		}
	}
}
