package align

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"align/internal/builtin"
	"align/internal/gguf"
	"align/internal/hub"
	"align/internal/ollama"
	"align/internal/runfolder"
	"align/model"
)

// cardFile is where the Hugging Face hub looks for a model's card.
const cardFile = "README.md"

// card is the model card of an exported folder: what it was made of and how.
func (x *export) card() []byte {
	var b strings.Builder
	tags := []string{"align"}
	kind := "Adapter for " + x.baseName()
	fromNothing := x.run.Method == "pretrain"
	switch {
	case fromNothing:
		kind = "A Llama trained from random weights"
	case x.full:
		kind = x.baseName() + " with all weights trained"
	case x.merges():
		kind = x.baseName() + " with an adapter merged into it"
	}
	if x.run.Method != "" {
		tags = append(tags, x.run.Method)
	}
	b.WriteString("---\n")
	if !fromNothing {
		fmt.Fprintf(&b, "base_model: %s\n", x.baseName())
	}
	if l := x.license(); l != "" {
		fmt.Fprintf(&b, "license: %s\n", l)
	}
	fmt.Fprintf(&b, "tags: [%s]\n---\n\n# %s\n\n%s.\n", strings.Join(tags, ", "), x.name(), kind)
	if line := x.notice(); line != "" {
		fmt.Fprintf(&b, "\nThe base model's notice: %s\n", line)
	}
	if x.run.Method != "" {
		x.describeRun(&b)
	}
	return []byte(b.String())
}

// describeRun lists the method, the data and the settings.
func (x *export) describeRun(b *strings.Builder) {
	s, l := x.run, x.run.Lineage
	fmt.Fprintf(b, "\n## Training\n\nMethod %s, step %d of %d, %.3g epochs, %d tokens.\n", s.Method, s.Step, s.Steps, s.Epoch, s.NumTokens)
	fmt.Fprintf(b, "\n| what | |\n|---|---|\n")
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "| %s | %s |\n", name, strings.NewReplacer("|", `\|`, "\n", " ").Replace(value))
		}
	}
	row("data", l["records"])
	row("started as the mean of the other rows", l["special"])
	row("SHA-256 of the data", l["data"])
	row("SHA-256 of the base's weights", l["model"])
	row("SHA-256 of the tokenizer", l["tokenizer"])
	for _, key := range slices.Sorted(maps.Keys(l)) {
		if name, ok := strings.CutPrefix(key, "setting "); ok {
			row(name, l[key])
		}
	}
}

// hubSnapshot is a path in the Hugging Face cache.
var hubSnapshot = regexp.MustCompile(`models--([\w.-]+?)--([\w.-]+)[/\\]snapshots[/\\]`)

// baseName is how others know the base: its name in a store, or the last part
// of its path.
func (x *export) baseName() string {
	named := x.Model
	if named == "" {
		named = runModel(x.folder)
	}
	if name := publicName(named, x.base); name != "" {
		return name
	}
	if x.full && named != "" {
		return filepath.Base(filepath.Clean(named))
	}
	return filepath.Base(filepath.Clean(x.base))
}

// runModel is the base that a checkpoint's run named; "" for a checkpoint that
// stands alone.
func runModel(folder string) string {
	for line := range strings.Lines(readText(filepath.Dir(filepath.Dir(folder)), runfolder.SettingsFile)) {
		if value, ok := strings.CutPrefix(line, "model:"); ok {
			return strings.Trim(oneLine(value), `"'`)
		}
	}
	return ""
}

// publicName is the name in a store of a base that was named so, or lies there;
// "" for a folder of one's own.
func publicName(named, base string) string {
	if m := hubSnapshot.FindStringSubmatch(base); m != nil {
		return m[1] + "/" + m[2]
	}
	if name, ok := strings.CutPrefix(named, ollama.Prefix); ok {
		return name
	}
	if named == builtin.Name || named != "" && hub.IsName(named) && !has(named, "") {
		return named
	}
	return ""
}

func (x *export) license() string { return licenseOf(x.base) }

// licenseOf is the name of a base's licence, as its card or its GGUF states it.
func licenseOf(base string) string {
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
	head, ok := strings.CutPrefix(readText(base, cardFile), "---\n")
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

// notice is the first line of the notice or the licence beside the base.
func (x *export) notice() string {
	for _, name := range []string{"NOTICE", "NOTICE.txt", "LICENSE", "LICENSE.txt", "LICENSE.md"} {
		for line := range strings.Lines(readText(x.base, name)) {
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
