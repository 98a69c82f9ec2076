package train

import (
	"context"

	"align/datasets"
)

// Batches is a Source over a data set in memory: each step takes the next
// indices of the order and deals them to micro-steps.
type Batches struct {
	Order *datasets.Order
	// PerMicro is the number of examples or pairs of a micro-step.
	PerMicro int
	// Weigh is a step's weight and number of tokens.
	Weigh func(indices []int) (weight float64, tokens int64)
	micro [][]int
}

var _ Source[[]int] = (*Batches)(nil)

// Next is the work of the next step.
func (b *Batches) Next() (Work[[]int], error) {
	indices := b.Order.Next()
	w := Work[[]int]{Micro: b.micro[:0], Epoch: b.Order.Epochs()}
	w.Weight, w.Tokens = b.Weigh(indices)
	for from := 0; from < len(indices); from += b.PerMicro {
		w.Micro = append(w.Micro, indices[from:min(from+b.PerMicro, len(indices))])
	}
	b.micro = w.Micro
	return w, nil
}

// State is the order's place.
func (b *Batches) State() ([]byte, error) { return b.Order.State() }

// Restore goes back to it.
func (b *Batches) Restore(data []byte) error { return b.Order.Restore(data) }

// Weigh is the weight of a step in which all records weigh the same, and its tokens.
func Weigh[T interface{ Tokens() int }](records []T, indices []int) (weight float64, tokens int64) {
	for _, i := range indices {
		tokens += int64(records[i].Tokens())
	}
	return float64(len(indices)), tokens
}

// InPacks calls f with a micro-batch's indices, all of them for one pack, or
// one by one where packing is off.
func InPacks(packing bool, indices []int, f func([]int) error) error {
	if packing {
		return f(indices)
	}
	for i := range indices {
		if err := f(indices[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// EvaluateInPacks calls f with the indices of n held-out examples, size at a
// time, packed like training.
func EvaluateInPacks(ctx context.Context, n, size int, packing bool, f func([]int) error) error {
	indices := make([]int, 0, size)
	for from := 0; from < n; from += size {
		if err := ctx.Err(); err != nil {
			return err
		}
		indices = indices[:0]
		for i := from; i < min(from+size, n); i++ {
			indices = append(indices, i)
		}
		if err := InPacks(packing, indices, f); err != nil {
			return err
		}
	}
	return nil
}
