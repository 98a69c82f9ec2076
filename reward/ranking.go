package reward

import (
	"cmp"
	"fmt"
	"slices"

	"align/internal/device"
	"align/internal/graph"
	"align/model"
)

// Rankings: what the loss of a list of ranked answers is made of.
const (
	RankingPairs        = "pairs"         // the mean over its pairs
	RankingPlackettLuce = "plackett-luce" // the likelihood of its order
)

// listColumns are lists of ranked answers by columns, one row per list: column
// 0 the best of the longest list, the last column every list's worst. Shorter
// lists begin at a later column.
type listColumns struct {
	// answer is the place in the pack of the answer that stands there, any
	// where none does.
	answer [][]int32
	// counts is 1 where something ranks below the answer, begins is 1 where the
	// rank is another than the next column's, stays is 1 - begins, share is 2/K
	// where there is an answer; else they are 0.
	counts, begins, stays, share [][]float64
}

func newListColumns(k int) listColumns {
	column := func() [][]float64 { return make([][]float64, k) }
	return listColumns{make([][]int32, k), column(), column(), column(), column()}
}

// add appends a list whose first answer has the place first in the pack.
func (l *listColumns) add(ranks []int, first int32) {
	order := make([]int, len(ranks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ranks[a], ranks[b]) })
	empty, worst := len(l.answer)-len(order), ranks[order[len(order)-1]]
	for c := range l.answer {
		answer, counts, begins, share := first, 0.0, 0.0, 0.0
		if i := c - empty; i >= 0 {
			answer, share = first+int32(order[i]), 2/float64(len(order))
			if ranks[order[i]] < worst {
				counts = 1
			}
			if i+1 < len(order) && ranks[order[i]] != ranks[order[i+1]] {
				begins = 1
			}
		}
		l.answer[c] = append(l.answer[c], answer)
		l.counts[c], l.share[c] = append(l.counts[c], counts), append(l.share[c], share)
		l.begins[c], l.stays[c] = append(l.begins[c], begins), append(l.stays[c], 1-begins)
	}
}

// listInputs are the columns as inputs of a graph, all [P]. The last column
// has no term, and only centring sees the shares.
type listInputs struct{ answer, counts, begins, stays, share graph.Nodes }

func newListInputs(d *model.Decoder, k int, centred bool) listInputs {
	columns := func(name string, t device.Type, n int) graph.Nodes {
		list := make(graph.Nodes, n)
		for i := range list {
			list[i] = d.Vector(fmt.Sprintf("%s %d", name, i), t, graph.Pairs)
		}
		return list
	}
	in := listInputs{
		answer: columns("answer", device.I32, k), counts: columns("counts", device.F64, k-1),
		begins: columns("begins", device.F64, k-1), stays: columns("stays", device.F64, k-1),
	}
	if centred {
		in.share = columns("share", device.F64, k)
	}
	return in
}

func (in listInputs) load(s *model.Session, l listColumns) error {
	for c, node := range in.answer {
		if err := s.SetInt32s(node, l.answer[c]); err != nil {
			return err
		}
	}
	for _, x := range []struct {
		nodes  graph.Nodes
		values [][]float64
	}{{in.counts, l.counts}, {in.begins, l.begins}, {in.stays, l.stays}, {in.share, l.share}} {
		for c, node := range x.nodes {
			if err := s.SetFloat64s(node, x.values[c]); err != nil {
				return err
			}
		}
	}
	return nil
}

// centre is the centring term of lists, λ·(2·mean r)²: at two answers the one of
// a pair.
func centre(b *graph.Builder, ranked, share graph.Nodes, centering float64) *graph.Node {
	sum := b.Mul(ranked[0], share[0])
	for c := 1; c < len(ranked); c++ {
		sum = b.Add(sum, b.Mul(ranked[c], share[c]))
	}
	return b.Scale(b.Square(sum), centering)
}
