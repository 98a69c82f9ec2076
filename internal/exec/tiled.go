package exec

import (
	"align/internal/device"
	"align/internal/graph"
)

// NewTiled is a Sub that runs over some rows of its input at a time, tokens or
// those of them that predict something, so that the values
// between its inputs and its outputs take memory for those alone: the tiling of
// the feed-forward part over tokens (Arctic Long Sequence Training,
// https://arxiv.org/abs/2506.13996, section 3.2). It serves bodies in which no
// row reads another row. Nothing is saved: the backward pass makes each tile's
// values again. Gradients of parameters are added tile by tile, in order; their
// bits are those of one pass over all tokens where a tile ends where the
// kernels cut such a sum anyway.
func NewTiled(o graph.Options, rows int, build func(*graph.Builder) Body) (*Sub, error) {
	b := graph.New(o)
	s := &Sub{builder: b, body: build(b), tile: rows}
	if err := b.Err(); err != nil {
		return nil, err
	}
	return s, s.compile(SaveNone)
}

// boundTiles runs its programs tile by tile.
type boundTiles struct {
	*boundSub
	rows int
	of   graph.Symbol
}

// Run hands each tile's rows of the call's views to the inner program.
func (b *boundTiles) Run(c *device.Call) error {
	p, err := b.port(c)
	if err != nil {
		return err
	}
	for from, all := 0, c.In[0].Rows; from < all; from += b.rows {
		n := min(b.rows, all-from)
		p.program.Resize(b.of, n)
		p.tile(p.in, c.In, b.of, from, n)
		p.tile(p.out, c.Out, b.of, from, n)
		if err := p.program.Run(); err != nil {
			return err
		}
	}
	return nil
}

// tile sets the slots to the tile's rows of what has as many as the symbol says,
// and to the whole of everything else.
func (p *port) tile(slots []int, views []device.View, of graph.Symbol, from, n int) {
	for i, id := range slots {
		if id < 0 {
			continue
		}
		v := views[i]
		if v.Addr != 0 && p.program.plan.slots[id].info.Rows.Symbol == of {
			v = v.Row(from, n)
		}
		p.program.views[id] = v
	}
}

// Resize passes every row count on but that of the tiles, which Run sets.
func (b *boundTiles) Resize(s graph.Symbol, rows int) {
	if s != b.of {
		b.boundSub.Resize(s, rows)
	}
}
