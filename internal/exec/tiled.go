package exec

import (
	"align/internal/device"
	"align/internal/graph"
)

// NewTiled is a Sub that runs over some tokens at a time, so that the values
// between its inputs and its outputs take memory for those alone: the tiling of
// the feed-forward part over tokens (Arctic Long Sequence Training,
// https://arxiv.org/abs/2506.13996, section 3.2). It serves bodies in which no
// row reads another row. Nothing is saved: the backward pass makes each tile's
// values again. Gradients of parameters are added tile by tile, in order; their
// bits are those of one pass over all tokens where a tile ends where the
// kernels cut such a sum anyway.
func NewTiled(o graph.Options, tokens int, build func(*graph.Builder) Body) (*Sub, error) {
	b := graph.New(o)
	s := &Sub{builder: b, body: build(b), tokens: tokens}
	if err := b.Err(); err != nil {
		return nil, err
	}
	return s, s.compile(SaveNone)
}

// boundTiles runs its programs tile by tile.
type boundTiles struct {
	*boundSub
	tokens int
}

// Run hands each tile's rows of the call's views to the inner program.
func (b *boundTiles) Run(c *device.Call) error {
	p := b.port(c)
	for from, all := 0, c.In[0].Rows; from < all; from += b.tokens {
		n := min(b.tokens, all-from)
		p.program.Resize(graph.Tokens, n)
		p.tile(p.in, c.In, from, n)
		p.tile(p.out, c.Out, from, n)
		if err := p.program.Run(); err != nil {
			return err
		}
	}
	return nil
}

// tile sets the slots to the tile's rows of what has a row for each token, and
// to the whole of everything else.
func (p *port) tile(slots []int, views []device.View, from, n int) {
	for i, id := range slots {
		if id < 0 {
			continue
		}
		v := views[i]
		if v.Addr != 0 && p.program.plan.slots[id].info.Rows.Symbol == graph.Tokens {
			v = v.Row(from, n)
		}
		p.program.views[id] = v
	}
}

// Resize passes every row count on but that of tokens, which Run sets.
func (b *boundTiles) Resize(s graph.Symbol, rows int) {
	if s != graph.Tokens {
		b.boundSub.Resize(s, rows)
	}
}
