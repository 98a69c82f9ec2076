package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"align/align"
)

// runScorePairs prints how often the chosen answers are preferred.
func runScorePairs(ctx context.Context, o *scoreOptions) error {
	r := newReporter(o.io, output{quiet: o.quiet, json: o.json})
	defer r.close()
	if err := chosen(o.checkpoint, r.note, &o.Adapter, &o.reward); err != nil {
		return err
	}
	options := align.PairScoreOptions{ScoreOptions: o.ScoreOptions, Reward: o.reward, Loss: o.loss, Beta: o.beta, Ref: o.ref}
	options.Data = o.pairs
	out := bufio.NewWriter(o.io.out)
	summary, err := align.ScorePairs(ctx, options, environment(r), func(p align.ScoredPair) error {
		if !o.json {
			return nil
		}
		return printJSON(out, pairLine{1, p})
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	r.close()
	return o.printPairs(summary)
}

// pairLine is a pair's line of JSON.
type pairLine struct {
	V                int `json:"v"`
	align.ScoredPair `json:",inline"`
}

// printPairs prints the summary, for people or as the last line of JSON.
func (o *scoreOptions) printPairs(s align.PairSummary) error {
	facts := []fact{{"pairs", s.Pairs}}
	if o.json {
		facts = append(facts, fact{"rewards/accuracies", s.Accuracy}, fact{"low", s.Low}, fact{"high", s.High})
	} else {
		facts = append(facts, fact{"rewards/accuracies", fmt.Sprintf("%s (%d of %d; %s to %s with 95 %% confidence)", short(s.Accuracy), s.Right, s.Pairs, short(s.Low), short(s.High))})
	}
	for _, m := range s.Means {
		facts = append(facts, fact{m.Name, m.Value()})
	}
	if o.json {
		return printFactsJSON(o.io.out, facts)
	}
	return printFacts(o.io, facts)
}
