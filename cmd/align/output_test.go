package main

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// printsText are the commands whose result is text, or JSON by itself.
var printsText = []string{"align chat", "align tokenize", "align init", "align import-config"}

// A script may give --quiet to every command, and --json to every one whose result
// is not text or JSON as it is.
func TestEveryCommandTakesTheOutputFlags(t *testing.T) {
	io, _, _ := testStreams("")
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Name() == "completion" {
			return // cobra's own
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if c.Hidden || c.HasSubCommands() && c.CommandPath() != "align bench" || !c.Runnable() {
			return
		}
		if c.Flags().Lookup("quiet") == nil {
			t.Errorf("%s has no --quiet", c.CommandPath())
		}
		if text := slices.Contains(printsText, c.CommandPath()); text == (c.Flags().Lookup("json") != nil) {
			t.Errorf("%s prints text: %v, and has --json: %v", c.CommandPath(), text, !text)
		}
	}
	visit(newRootCommand(io))
}
