package train_test

import (
	"slices"
	"testing"

	"align/internal/train"
)

// The places are those of the run's own order, and all of them after an epoch.
func TestVisited(t *testing.T) {
	settings := train.DefaultSettings()
	settings.Batch, settings.Accumulate = 2, 2
	for _, c := range []struct{ steps, want int }{{1, 4}, {2, 8}, {3, 10}, {100000, 10}} {
		order, _, err := settings.NewOrder(10, nil)
		if err != nil {
			t.Fatal(err)
		}
		var dealt []int
		for range min(c.steps, 3) {
			dealt = append(dealt, order.Next()...)
		}
		slices.Sort(dealt)
		got, err := settings.Visited(10, c.steps, nil)
		if err != nil || len(got) != c.want || !slices.Equal(got, dealt) {
			t.Errorf("%d steps: %v, dealt %v (%v)", c.steps, got, dealt, err)
		}
	}
}
