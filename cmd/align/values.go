package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// value is a flag's value that refuses what a shell makes of a slip: numbers of
// another base than ten (010 would be 8), the name of a flag where the value was
// forgotten (--out --quiet), and a second file where one alone is read.
type value struct {
	pflag.Value
	name  string
	flags *pflag.FlagSet
	given []string
}

// guardValues puts every flag's value of a command, and of those below it, behind
// a value. Flags that are on or off take none.
func guardValues(c *cobra.Command) {
	for _, sub := range c.Commands() {
		guardValues(sub)
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if _, preset := f.Value.(*presetFlag); preset || f.Value.Type() == "bool" {
			return
		}
		if f.DefValue == "[]" {
			f.DefValue = "" // no default, which pflag knows of its own types alone
		}
		f.Value = &value{Value: f.Value, name: f.Name, flags: c.Flags()}
	})
}

// readOnce are flags of one text or file that people repeat, as some commands take
// several. Of all others the last one counts, so that a script's can be overruled.
var readOnce = []string{"config", "data", "eval", "map", "pairs", "prompt", "prompts"}

// Set implements pflag.Value.
func (v *value) Set(text string) error {
	if name, is := strings.CutPrefix(text, "--"); is && v.flags.Lookup(name) != nil {
		return fmt.Errorf("it needs %s, and %s is a flag", wantedValue(v), text)
	}
	text, err := v.decimal(text)
	if err != nil {
		return err
	}
	v.given = append(v.given, text)
	if slices.Contains(readOnce, v.name) && !v.isList() && v.given[0] != text {
		return fmt.Errorf("it is given twice, %q and %q, and takes one", v.given[0], text)
	}
	return v.Value.Set(text)
}

// wantedValue is what a flag is given, for errors that miss it.
func wantedValue(v pflag.Value) string {
	if v.Type() == "on|off" {
		return "on or off"
	}
	return "a value"
}

// decimal is a number without the zeros before it, which pflag takes for octal's.
func (v *value) decimal(text string) (string, error) {
	switch v.Type() {
	case "int":
		n, err := strconv.Atoi(text)
		if err != nil {
			return "", fmt.Errorf("want a whole number, got %q", text)
		}
		return strconv.Itoa(n), nil
	case "uint64":
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return "", fmt.Errorf("want a whole number that is not negative, got %q", text)
		}
		return strconv.FormatUint(n, 10), nil
	case "float64":
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return "", fmt.Errorf("want a number, got %q", text)
		}
	}
	return text, nil
}

// isList says whether the flag may be repeated.
func (v *value) isList() bool {
	_, list := v.Value.(*listFlag)
	return list || v.Type() == "stringArray"
}
