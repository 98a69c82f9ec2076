package basemodel

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"align/internal/builtin"
	"align/internal/gguf"
	"align/internal/hub"
	"align/internal/ollama"
	"align/internal/runfolder"
	"align/model"
)

// CardFile is where the Hugging Face hub looks for a model's card.
const CardFile = "README.md"

// hubSnapshot is a path in the Hugging Face cache.
var hubSnapshot = regexp.MustCompile(`models--([\w.-]+?)--([\w.-]+)[/\\]snapshots[/\\]`)

// OfRun is the base that a checkpoint's run named; "" for a checkpoint that
// stands alone.
func OfRun(folder string) string {
	for line := range strings.Lines(readText(filepath.Dir(filepath.Dir(folder)), runfolder.SettingsFile)) {
		if value, ok := strings.CutPrefix(line, "model:"); ok {
			return strings.Trim(oneLine(value), `"'`)
		}
	}
	return ""
}

// PublicName is the name in a store of a base that was named so, or lies there;
// "" for a folder of one's own.
func PublicName(named, base string) string {
	if m := hubSnapshot.FindStringSubmatch(base); m != nil {
		return m[1] + "/" + m[2]
	}
	if name, ok := strings.CutPrefix(named, ollama.Prefix); ok {
		return name
	}
	if named == builtin.Name || named != "" && hub.IsName(named) && !isThere(named) {
		return named
	}
	return ""
}

// License is the name of a base's licence, as its card or its GGUF states it.
func License(base string) string {
	if model.IsGGUF(base) {
		f, err := gguf.Open(base)
		if err != nil {
			return ""
		}
		defer f.Close()
		name, err := f.Metadata.String("general.license")
		if err != nil {
			return ""
		}
		return oneLine(name)
	}
	head, ok := strings.CutPrefix(readText(base, CardFile), "---\n")
	head, _, closed := strings.Cut(head, "\n---")
	if !ok || !closed {
		return ""
	}
	for line := range strings.Lines(head) {
		if value, ok := strings.CutPrefix(line, "license:"); ok {
			return oneLine(value)
		}
	}
	return ""
}

// Notice is the first line of the notice or the licence beside a base.
func Notice(base string) string {
	for _, name := range []string{"NOTICE", "NOTICE.txt", "LICENSE", "LICENSE.txt", "LICENSE.md"} {
		for line := range strings.Lines(readText(base, name)) {
			if text := oneLine(strings.Trim(line, "# \t\r\n")); text != "" {
				return text
			}
		}
	}
	return ""
}

// maxCardBytes bounds what is read of a licence or a card.
const maxCardBytes = 1 << 20

// readText is a small text file of a folder; "" where there is none.
func readText(dir, name string) string {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > maxCardBytes {
		return ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

// oneLine is a text without control characters that could break a line of YAML
// or Markdown.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, text))
}
