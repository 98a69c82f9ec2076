package datasets

import (
	"fmt"
	"math/rand/v2"
)

// NewMixedOrder deals the examples of a mixture, perStep at a time. Its indices
// number the examples of all shares end to end, in their order. Of any first n
// indices that it deals, a share of weight w has n·w, up to less than 1, across
// epochs too. Each share is passed over in an order of its own, shuffled anew
// in each pass; one that is used up begins again. passes bounds an epoch, as in
// MixedEpoch.
func NewMixedOrder(shares []Share, passes float64, perStep int, shuffle bool, seed uint64) (*Order, error) {
	for i, s := range shares {
		if s.N < 1 || !(s.Weight > 0 && s.Weight <= 1) {
			return nil, fmt.Errorf("datasets: share %d of a mixture: %d examples of weight %v: want at least 1, and a weight above 0 to 1", i+1, s.N, s.Weight)
		}
	}
	if len(shares) == 0 || !(passes > 0) {
		return nil, fmt.Errorf("datasets: mixture of %d shares, %v passes an epoch: want at least 1 share, and more than 0", len(shares), passes)
	}
	o, err := NewOrder(MixedEpoch(shares, passes), perStep, shuffle, seed)
	if err != nil {
		return nil, err
	}
	o.mixture = &mixture{interleaver: newInterleaver(shares), passes: make([]pass, len(shares)), shuffle: shuffle, seed: seed}
	for i := range o.mixture.passes {
		o.mixture.passes[i].number = -1
	}
	return o, nil
}

// mixture numbers the examples that an interleaver deals.
type mixture struct {
	*interleaver
	passes  []pass // the one under way, of each share
	shuffle bool
	seed    uint64
}

// pass is one way through a share.
type pass struct {
	number int // -1: none yet
	order  []int
}

// draw fills an epoch. The one after the last it drew goes on; any other is
// reached from the start, so that a resumed run finds its place.
func (m *mixture) draw(epoch []int, number int) {
	from := number * len(epoch)
	if m.n > from {
		m.interleaver = newInterleaver(m.shares)
	}
	for m.n < from {
		m.next()
	}
	for i := range epoch {
		source, example := m.next()
		epoch[i] = m.index(source, example)
	}
}

// index is the place of the nth example of a share that is dealt among those of
// all shares.
func (m *mixture) index(source, n int) int {
	size := m.shares[source].N
	p := &m.passes[source]
	if p.number != n/size {
		m.begin(p, source, n/size)
	}
	index := p.order[n%size]
	for _, s := range m.shares[:source] {
		index += s.N
	}
	return index
}

// begin orders a pass over a share, with a generator of its own.
func (m *mixture) begin(p *pass, source, number int) {
	p.number = number
	if p.order == nil {
		p.order = make([]int, m.shares[source].N)
	}
	for i := range p.order {
		p.order[i] = i
	}
	if m.shuffle {
		rng := rand.New(rand.NewPCG(m.seed+uint64(source)*shareStride, uint64(number)))
		rng.Shuffle(len(p.order), func(i, j int) { p.order[i], p.order[j] = p.order[j], p.order[i] })
	}
}

// shareStride keeps the generators of the shares apart: an odd number, 2^64
// over the golden ratio.
const shareStride = 0x9e3779b97f4a7c15
