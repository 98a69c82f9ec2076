package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"align/internal/checkpoint"
	"align/internal/runfolder"
	"align/internal/train"
)

// inspectRun verifies the hashes of a run's newest checkpoint, or of the one
// that the path names.
func inspectRun(path string) ([]fact, error) {
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := train.ReadState(c)
	if err != nil {
		return nil, err
	}
	facts := []fact{
		{"kind", "run"},
		{"checkpoint", c.Path},
		{"method", s.Method},
		{"step", s.Step},
		{"steps", s.Steps},
		{"epoch", s.Epoch},
		{"num_tokens", s.NumTokens},
	}
	if b := s.Best; b != nil {
		facts = append(facts, fact{"best", fmt.Sprintf("step %d, %s %v", b.Step, b.Metric, b.Value)})
	}
	v, ok, err := train.ReadVerdict(path)
	if err != nil {
		return nil, err
	}
	if ok {
		facts = append(facts, fact{"verdict", v.String()})
	}
	if holds(path, runfolder.SettingsFile) {
		facts = append(facts, fact{"settings", filepath.Join(path, runfolder.SettingsFile)})
	}
	return append(facts, fact{"verified", fileList(c)}, fact{"rejected", rejectedList(c)}, fact{"lineage", lineageList(s)}), nil
}

func fileList(c *checkpoint.Checkpoint) []string {
	var files []string
	for _, f := range c.Files() {
		files = append(files, fmt.Sprintf("%s, %d bytes, sha256 %s", f.Name, f.Size, f.SHA256))
	}
	return files
}

func rejectedList(c *checkpoint.Checkpoint) []string {
	rejected := []string{}
	for _, r := range c.Rejected {
		rejected = append(rejected, fmt.Sprintf("%s: %s", r.Path, strings.ReplaceAll(r.Err.Error(), "\n", "; ")))
	}
	return rejected
}

func lineageList(s train.State) []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(s.Lineage)) {
		lines = append(lines, key+": "+s.Lineage[key])
	}
	return lines
}
