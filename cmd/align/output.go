package main

import "github.com/spf13/cobra"

// Every command takes --quiet, also one that has no notes to leave out: who runs
// commands from a script need not know which. Every command whose result is not
// text or JSON by itself takes --json.

// addOutputFlags adds --quiet and --json.
func addOutputFlags(c *cobra.Command, o *output, json string) {
	addQuietFlag(c, &o.quiet)
	c.Flags().BoolVar(&o.json, "json", false, json)
	c.Flags().Lookup("json").Annotations = map[string][]string{sectionKey: {machine}}
}

// addQuietFlag adds --quiet.
func addQuietFlag(c *cobra.Command, quiet *bool) {
	c.Flags().BoolVar(quiet, "quiet", false, "print errors and the result only")
	c.Flags().Lookup("quiet").Annotations = map[string][]string{sectionKey: {machine}}
}
