package reward

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"align/datasets"
)

// Group is one tokenised prompt with its answers in order of preference.
type Group struct {
	Prompt  []int32
	Answers [][]int32
	// Ranks are the answers' places, 1 the best; equal ranks make no pair.
	Ranks []int
	// Margin is by how much the better answer of each pair should score more.
	Margin float64
	Place  string
}

// FromPair is a preference pair as a group of two.
func FromPair(p datasets.Pair, margin float64) Group {
	return Group{Prompt: p.Prompt, Answers: [][]int32{p.Chosen, p.Rejected}, Ranks: []int{1, 2}, Margin: margin, Place: p.Place}
}

// RanksOf are the ranks of answers with scores, more being better; equal
// scores share a rank.
func RanksOf(scores []float64) []int {
	order := slices.Clone(scores)
	slices.SortFunc(order, func(a, b float64) int { return cmp.Compare(b, a) })
	order = slices.Compact(order)
	ranks := make([]int, len(scores))
	for i, s := range scores {
		ranks[i] = slices.Index(order, s) + 1
	}
	return ranks
}

// Validate returns all faults of the group at once.
func (g Group) Validate() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("reward: %s: "+format, append([]any{g.Place}, args...)...))
	}
	if len(g.Answers) < 2 {
		fault("%d answers: want at least 2", len(g.Answers))
	}
	if len(g.Ranks) != len(g.Answers) {
		fault("%d ranks for %d answers", len(g.Ranks), len(g.Answers))
	}
	for i, a := range g.Answers {
		if len(a) == 0 {
			fault("answer %d is empty", i+1)
		}
	}
	if len(g.Ranks) > 1 && len(rankedPairs(g.Ranks)) == 0 {
		fault("all answers have the same rank")
	}
	if math.IsNaN(g.Margin) || math.IsInf(g.Margin, 0) {
		fault("margin is %v: want a finite number", g.Margin)
	}
	return errors.Join(errs...)
}

// Tokens is the number of tokens, with the prompt once.
func (g Group) Tokens() int {
	n := len(g.Prompt)
	for _, a := range g.Answers {
		n += len(a)
	}
	return n
}

// Opposite is the hash of the group with its answers in the opposite order.
func (g Group) Opposite() [32]byte {
	g.Answers = slices.Clone(g.Answers)
	slices.Reverse(g.Answers)
	return g.Hash()
}

// Hash is a content hash of the ids.
func (g Group) Hash() [32]byte {
	h := sha256.New()
	for _, ids := range append([][]int32{g.Prompt}, g.Answers...) {
		buf := binary.LittleEndian.AppendUint64(nil, uint64(len(ids)))
		for _, id := range ids {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
		}
		h.Write(buf)
	}
	return [32]byte(h.Sum(nil))
}
