package model

import (
	"fmt"

	"align/datasets"
	"align/internal/device"
	"align/internal/graph"
)

// checkIndex refuses an index outside its table before a device has it: a card
// would be lost, and its error would name neither value nor place.
func (s *Session) checkIndex(n *graph.Node, values []int32) error {
	r, points := s.decoder.Range(n)
	if !points {
		return nil
	}
	limit := s.program.Rows(r.Table)
	for i, x := range values {
		switch {
		case int(x) >= limit && r.Least < 0:
			return fmt.Errorf("model: %s[%d] is %d, want less than %d", n.Name(), i, x, limit)
		case int(x) >= limit || int(x) < r.Least:
			return fmt.Errorf("model: %s[%d] is %d, want %d to %d", n.Name(), i, x, r.Least, limit-1)
		}
	}
	return nil
}

// checkMask refuses a pack of which a row would attend to what is no row of it,
// or twice to one.
func checkMask(p *datasets.Pack) error {
	for i := range min(len(p.PrefixStart), len(p.PrefixEnd), len(p.SegmentStart)) {
		from, to, start := int(p.PrefixStart[i]), int(p.PrefixEnd[i]), int(p.SegmentStart[i])
		switch {
		case from < 0 || from > to || to > len(p.IDs) || start < 0:
			return fmt.Errorf("model: row %d: prefix [%d,%d) and segment start %d do not fit %d rows", i, from, to, start, len(p.IDs))
		case max(from, start) < min(to, i+1):
			return fmt.Errorf("model: row %d: prefix [%d,%d) and segment [%d,%d] overlap", i, from, to, start, i)
		}
	}
	return nil
}

// checkPages refuses a batch of which a row would read beyond its sequence's
// pages, or pages that the cache has not.
func (c *Decoding) checkPages(b *DecodeBatch) error {
	o := c.options
	if len(b.Pages) != o.Sequences*o.PagesPerSequence || len(b.Prefix) != o.Sequences || len(b.Own) != len(b.IDs) || len(b.Sequence) != len(b.IDs) {
		return fmt.Errorf("model: decoding %d tokens of %d sequences with %d pages: want %d sequences of %d pages",
			len(b.IDs), len(b.Prefix), len(b.Pages), o.Sequences, o.PagesPerSequence)
	}
	for t, s := range b.Sequence {
		if s < 0 || int(s) >= o.Sequences {
			return fmt.Errorf("model: sequence[%d] is %d, want 0 to %d", t, s, o.Sequences-1)
		}
		used := pagesOf(b.Prefix[s]) + pagesOf(b.Own[t])
		if b.Prefix[s] < 0 || b.Own[t] < 1 || used > o.PagesPerSequence {
			return fmt.Errorf("model: row %d: prefix %d and %d own positions do not fit a table of %d pages", t, b.Prefix[s], b.Own[t], o.PagesPerSequence)
		}
		for i, page := range b.Pages[int(s)*o.PagesPerSequence:][:used] {
			if page < 0 || int(page) >= o.Pages {
				return fmt.Errorf("model: page %d of sequence %d is %d, want 0 to %d", i, s, page, o.Pages-1)
			}
		}
	}
	return nil
}

func pagesOf(positions int32) int { return (int(positions) + device.PageRows - 1) / device.PageRows }
