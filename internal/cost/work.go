package cost

import "align/datasets"

// Work is the size of what a pass runs over: tokens, of which Targets are
// predicted, and pairs of a query and a key in attention.
type Work struct{ Tokens, Targets, Pairs float64 }

// WorkOf is the size of a pack.
func WorkOf(p *datasets.Pack) Work {
	w := Work{Tokens: float64(len(p.IDs)), Targets: float64(len(p.Rows))}
	for i := range p.IDs {
		w.Pairs += float64(int(p.PrefixEnd[i]-p.PrefixStart[i]) + i - int(p.SegmentStart[i]) + 1)
	}
	return w
}

// Causal is the pairs of n queries that see a prefix and each other.
func Causal(n, prefix int) float64 { return float64(n) * (float64(prefix) + float64(n+1)/2) }

// Add adds another size.
func (w *Work) Add(o Work) {
	w.Tokens, w.Targets, w.Pairs = w.Tokens+o.Tokens, w.Targets+o.Targets, w.Pairs+o.Pairs
}

// Times is n such sizes.
func (w Work) Times(n float64) Work { return Work{n * w.Tokens, n * w.Targets, n * w.Pairs} }
