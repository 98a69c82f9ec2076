package datasets

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-json-experiment/json"
)

// Order deals the indices of a data set to optimizer steps: epoch by epoch,
// shuffled anew in each or in file order. The last step of an epoch takes what
// is left. Its state is the epoch and the place in it.
type Order struct {
	n, perStep int
	shuffle    bool
	seed       uint64
	place      place
	epoch      []int    // the epoch under way
	drawn      int      // which epoch that is; -1: none
	mixture    *mixture // nil: one data set
}

type place struct {
	Epoch int `json:"epoch"`
	Next  int `json:"next"`
}

// NewOrder deals n indices, perStep at a time.
func NewOrder(n, perStep int, shuffle bool, seed uint64) (*Order, error) {
	if n < 1 || perStep < 1 {
		return nil, fmt.Errorf("datasets: order of %d examples, %d per step: want at least 1", n, perStep)
	}
	return &Order{n: n, perStep: perStep, shuffle: shuffle, seed: seed, drawn: -1}, nil
}

// Steps is the number of steps that pass over the data epochs times.
func (o *Order) Steps(epochs float64) int {
	perEpoch := (o.n + o.perStep - 1) / o.perStep
	return max(1, int(math.Ceil(epochs*float64(perEpoch))))
}

// Next is the indices of the next step, valid until the call after it.
func (o *Order) Next() []int {
	if o.place.Next >= o.n {
		o.place = place{Epoch: o.place.Epoch + 1}
	}
	if o.drawn != o.place.Epoch {
		o.draw(o.place.Epoch)
	}
	from := o.place.Next
	o.place.Next = min(from+o.perStep, o.n)
	return o.epoch[from:o.place.Next]
}

// draw orders an epoch. Each has a generator of its own, so that a resumed run
// need not replay the ones before.
func (o *Order) draw(epoch int) {
	if o.epoch == nil {
		o.epoch = make([]int, o.n)
	}
	if o.mixture != nil {
		o.mixture.draw(o.epoch, epoch)
		o.drawn = epoch
		return
	}
	for i := range o.epoch {
		o.epoch[i] = i
	}
	if o.shuffle {
		rng := rand.New(rand.NewPCG(o.seed, uint64(epoch)))
		rng.Shuffle(o.n, func(i, j int) { o.epoch[i], o.epoch[j] = o.epoch[j], o.epoch[i] })
	}
	o.drawn = epoch
}

// Epochs is how often the data has been seen.
func (o *Order) Epochs() float64 {
	return float64(o.place.Epoch) + float64(o.place.Next)/float64(o.n)
}

// State is the place for a checkpoint.
func (o *Order) State() ([]byte, error) { return json.Marshal(o.place) }

// Restore goes back to a saved place.
func (o *Order) Restore(data []byte) error {
	var p place
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("datasets: order: %w", err)
	}
	if p.Epoch < 0 || p.Next < 0 || p.Next > o.n {
		return fmt.Errorf("datasets: order: place %+v does not fit %d examples", p, o.n)
	}
	o.place = p
	return nil
}

// Split holds out a fraction of n indices for evaluation: the same ones in
// every run of one seed, spread over the data. At least one of each side is
// left where fraction > 0 and n > 1.
func Split(n int, fraction float64, seed uint64) (train, held []int) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if fraction <= 0 || n < 2 {
		return order, nil
	}
	rng := rand.New(rand.NewPCG(seed, splitStream))
	rng.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	k := min(max(int(math.Round(fraction*float64(n))), 1), n-1)
	isHeld := make([]bool, n)
	for _, i := range order[:k] {
		isHeld[i] = true
	}
	order = order[:0]
	for i, h := range isHeld {
		if h {
			held = append(held, i)
		} else {
			order = append(order, i)
		}
	}
	return order, held
}

// splitStream keeps the split's random numbers apart from every epoch's.
const splitStream = math.MaxUint64
