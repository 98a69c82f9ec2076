package export

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/basemodel"
)

// Beginnings of a reward model's use, which a folder cannot say of itself.
const (
	scorerOfPEFT = "model = AutoPeftModelForSequenceClassification.from_pretrained(FOLDER, num_labels=1)\n" +
		"model.config.pad_token_id = PAD  # a token that ends no conversation; for batches of more than one\n"
	scorerMerged = "model = AutoModelForSequenceClassification.from_pretrained(FOLDER)\n"
)

// describeScorer tells how the score is had.
func (x *export) describeScorer(b *strings.Builder) {
	use := scorerOfPEFT
	if x.merges() {
		use = scorerMerged
	}
	fmt.Fprintf(b, "\nOne score for the last token of a conversation, without bias.\n\n```python\n%s```\n", use)
}

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
	case x.carriesHead() && x.merges():
		kind = "Reward model: " + x.baseName() + " with an adapter merged into it, and a score head"
	case x.carriesHead():
		kind = "Reward model: adapter and score head for " + x.baseName()
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
	if line := basemodel.Notice(x.base); line != "" {
		fmt.Fprintf(&b, "\nThe base model's notice: %s\n", line)
	}
	if x.carriesHead() {
		x.describeScorer(&b)
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
	row("SHA-256 of the data", apart(l["data"]))
	row("SHA-256 of the base's weights", l["model"])
	row("SHA-256 of the tokenizer", l["tokenizer"])
	for _, key := range slices.Sorted(maps.Keys(l)) {
		if name, ok := strings.CutPrefix(key, "setting "); ok {
			row(name, l[key])
		}
	}
}

// apart are sums of files, which a lineage has end to end, with commas between them.
func apart(sums string) string {
	const digits = 2 * sha256.Size
	var parts []string
	for len(sums) > digits {
		parts, sums = append(parts, sums[:digits]), sums[digits:]
	}
	return strings.Join(append(parts, sums), ", ")
}

// baseName is how others know the base: its name in a store, or the last part
// of its path.
func (x *export) baseName() string {
	named := x.Model
	if named == "" {
		named = basemodel.OfRun(x.folder)
	}
	if name := basemodel.PublicName(named, x.base); name != "" {
		return name
	}
	if x.full && named != "" {
		return filepath.Base(filepath.Clean(named))
	}
	return filepath.Base(filepath.Clean(x.base))
}

func (x *export) license() string { return basemodel.License(x.base) }
