package main

import (
	"fmt"
	"strings"

	"align/rejection"
)

// printSummary prints what became of a job; note is told where no pair came of it. A
// whole job without an answer to learn from has failed, though its samples are kept:
// sft.jsonl and pairs.jsonl are empty.
func printSummary(io *streams, o output, s rejection.Summary, note func(string)) error {
	if err := printCounts(io, o, s); err != nil {
		return err
	}
	if s.Examples == 0 && s.Shard == (rejection.Shard{Count: 1}).String() {
		return hint(fmt.Errorf("no answer is usable: of %d samples %d were cut at max_new and %d are empty", s.Samples, s.Truncated, s.Empty), "a larger --max-new lets answers end")
	}
	if s.Pairs == 0 {
		note("pairs: none, " + withoutPair(s.Counts))
	}
	return nil
}

// withoutPair is why the prompts make no pair.
func withoutPair(n rejection.Counts) string {
	var reasons []string
	for _, r := range []struct {
		n    int
		text string
	}{
		{n.TooClose, "have answers of equal scores, or less than min_margin apart"},
		{n.Similar, "have a best and a worst answer that hardly differ (similar)"},
		{n.Unanswered, "have no answer that ended by itself"},
	} {
		if r.n > 0 {
			reasons = append(reasons, fmt.Sprintf("%d of %d prompts %s", r.n, n.Prompts, r.text))
		}
	}
	advice := "more samples (--k) or a higher --temperature may make some"
	if n.TooClose+n.Similar == 0 {
		advice = "a larger --max-new lets answers end"
	}
	return strings.Join(reasons, "; ") + ": " + advice
}

// printCounts prints the result.
func printCounts(io *streams, o output, s rejection.Summary) error {
	if o.json {
		return printJSON(io.out, struct {
			V int `json:"v"`
			rejection.Summary
		}{1, s})
	}
	best := "none"
	if s.Examples > 0 {
		best = short(s.BestScore)
	}
	left := ""
	if n := s.Truncated + s.Empty; n > 0 {
		left = fmt.Sprintf("; %d samples that max_new cut or that are empty count in the mean score and are never the best", n)
	}
	_, err := fmt.Fprintf(io.out, "%d prompts, %d samples, mean score %s, mean best score %s: %d examples, %d pairs%s\n",
		s.Prompts, s.Samples, short(s.MeanScore), best, s.Examples, s.Pairs, left)
	return err
}
