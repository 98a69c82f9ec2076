package config

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Write prints fields as YAML that Read reads back to the same bits. comment
// gives the line above a key; "" writes none.
func Write(w io.Writer, fields []Field, comment func(key string) string) error {
	out := bufio.NewWriter(w)
	for _, f := range fields {
		if c := comment(f.Key); c != "" {
			fmt.Fprintf(out, "# %s\n", strings.ReplaceAll(c, "\n", " "))
		}
		text, err := f.yaml()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", f.Key, text)
	}
	return out.Flush()
}

// plain matches text that YAML readers take for text without quotes: no
// number, no truth, nothing with a meaning in YAML's grammar.
var plain = regexp.MustCompile(`^[./~]?[A-Za-z_][A-Za-z0-9_./,=@+-]*$`)

// words are the plain words that are no text to some YAML reader.
var words = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// yaml is the value as YAML writes it. Text is quoted where it must be: a JSON
// string is a YAML string.
func (f Field) yaml() (string, error) {
	text := f.String()
	if !f.IsText() || plain.MatchString(text) && !slices.Contains(words, strings.ToLower(text)) {
		return text, nil
	}
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		return "", fmt.Errorf("config: %s: %w", f.Key, err)
	}
	return string(quoted), nil
}
