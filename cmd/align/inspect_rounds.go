package main

import (
	"fmt"
	"strings"

	"align/align/rounds"
)

// inspectRounds tells what came of what in a job of rounds.
func inspectRounds(path string) ([]fact, error) {
	l, err := rounds.ReadLineage(path)
	if err != nil {
		return nil, err
	}
	lines := []string{}
	for _, s := range l.Stages {
		lines = append(lines, lineageLine(s))
	}
	return []fact{{"kind", "rounds"}, {"settings", rounds.SettingsFile + ", sha256 " + l.Config}, {"stages", lines}}, nil
}

// lineageLine is one stage with all that it came of.
func lineageLine(s rounds.LineageStep) string {
	line := fmt.Sprintf("round %d, %s", s.Round, s.Stage)
	if s.Reason != "" {
		return line + ": left out, " + s.Reason
	}
	line += ": " + s.Run + ", sha256 " + s.Hash
	var of []string
	if s.From != "" {
		of = append(of, "from "+s.From)
	}
	if s.Judge != "" {
		of = append(of, "scored by "+s.Judge)
	}
	if s.Stage == "rejection" {
		of = append(of, fmt.Sprintf("mean score %s, mean best score %s", short(s.MeanScore), short(s.BestScore)))
	}
	return strings.Join(append([]string{line}, of...), ", ")
}
