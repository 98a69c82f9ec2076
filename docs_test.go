package floors

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Links between documents lead to files that exist.
func TestLinksOfDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append(documents, more...) {
		for _, m := range link.FindAllStringSubmatch(read(t, document), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), m[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

// NOTICE names every module that go.mod requires.
func TestNoticeIsComplete(t *testing.T) {
	notice := read(t, "NOTICE")
	require := regexp.MustCompile(`(?m)^\t(\S+) v`)
	for _, m := range require.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		if !strings.Contains(notice, "\n"+m[1]+" ") {
			t.Errorf("NOTICE lacks %s", m[1])
		}
	}
}

// The command that the README gives for the tests is the one that CI runs.
func TestReadmeAndCIRunTheSameTests(t *testing.T) {
	const command = "\ngo test ./...\n"
	for _, name := range []string{"README.md", ".ci/run"} {
		if !strings.Contains(read(t, name), command) {
			t.Errorf("%s lacks the line %q", name, command)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
