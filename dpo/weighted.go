package dpo

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"align/internal/graph"
)

// Term is one loss of a weighted sum.
type Term struct {
	Loss   Loss
	Weight float64
}

// Weighted is a weighted sum of losses of pairs, or of losses of single answers.
type Weighted []Term

// ParseWeighted reads a sum of losses, "sigmoid:1,sft:0.2"; a weight of 1 may be
// left out. It returns all faults at once.
func ParseWeighted(s string) (Weighted, error) {
	var sum Weighted
	var errs []error
	for text := range strings.SplitSeq(s, ",") {
		term, err := parseTerm(strings.TrimSpace(text))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, other := range sum {
			if other.Loss.Name == term.Loss.Name {
				errs = append(errs, fmt.Errorf("dpo: loss %q is given twice", term.Loss.Name))
			}
		}
		sum = append(sum, term)
	}
	if sum.Unpaired() && sum.paired() {
		errs = append(errs, fmt.Errorf("dpo: loss %q mixes losses of pairs and of single answers", s))
	}
	return sum, errors.Join(errs...)
}

func parseTerm(text string) (Term, error) {
	name, number, weighted := strings.Cut(text, ":")
	loss, err := Lookup(strings.TrimSpace(name))
	if err != nil {
		return Term{}, err
	}
	weight := 1.0
	if weighted {
		weight, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
	}
	if err != nil || !(weight > 0 && weight <= math.MaxFloat64) {
		return Term{}, fmt.Errorf("dpo: weight of loss %q must be a positive number, got %q", loss.Name, number)
	}
	return Term{Loss: loss, Weight: weight}, nil
}

// String is the sum in the form that ParseWeighted reads.
func (w Weighted) String() string {
	terms := make([]string, len(w))
	for i, t := range w {
		terms[i] = t.Loss.Name
		if t.Weight != 1 {
			terms[i] += ":" + strconv.FormatFloat(t.Weight, 'g', -1, 64)
		}
	}
	return strings.Join(terms, ",")
}

// PerPair is the weighted sum of each pair's losses, [P].
func (w Weighted) PerPair(b *graph.Builder, in Inputs, p Params) *graph.Node {
	return w.sum(b, func(l Loss) *graph.Node { return l.PerPair(b, in, p) })
}

// PerAnswer is the weighted sum of each answer's losses, [S].
func (w Weighted) PerAnswer(b *graph.Builder, in UnpairedInputs, p Params) *graph.Node {
	return w.sum(b, func(l Loss) *graph.Node { return l.PerAnswer(b, in, p) })
}

func (w Weighted) sum(b *graph.Builder, of func(Loss) *graph.Node) *graph.Node {
	var sum *graph.Node
	for _, t := range w {
		term := of(t.Loss)
		if t.Weight != 1 {
			term = b.Scale(term, t.Weight)
		}
		if sum == nil {
			sum = term
		} else {
			sum = b.Add(sum, term)
		}
	}
	return sum
}

// Unpaired says whether any loss is of single labelled answers.
func (w Weighted) Unpaired() bool {
	return slices.ContainsFunc(w, func(t Term) bool { return t.Loss.Unpaired() })
}

func (w Weighted) paired() bool {
	return slices.ContainsFunc(w, func(t Term) bool { return !t.Loss.Unpaired() })
}

// HasBaseline says whether any loss reads the baseline.
func (w Weighted) HasBaseline() bool {
	return slices.ContainsFunc(w, func(t Term) bool { return t.Loss.Baseline })
}

// ReferenceFree says whether no loss reads the reference's log-probabilities.
func (w Weighted) ReferenceFree() bool {
	for _, t := range w {
		if !t.Loss.ReferenceFree {
			return false
		}
	}
	return true
}

// PerToken says whether the answers are compared by the means of their tokens: some
// loss does so, and none compares sums.
func (w Weighted) PerToken() bool {
	means := false
	for _, t := range w {
		if !t.Loss.PerToken && t.Loss.Name != "sft" { // which compares nothing
			return false
		}
		means = means || t.Loss.PerToken
	}
	return means
}

// Validate returns all params that a loss of the sum cannot take.
func (w Weighted) Validate(p Params) error {
	var errs []error
	for _, t := range w {
		errs = append(errs, t.Loss.Validate(p))
	}
	return errors.Join(errs...)
}
