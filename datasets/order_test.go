package datasets

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func newOrder(t interface{ Fatal(...any) }, n, perStep int, shuffle bool, seed uint64) *Order {
	o, err := NewOrder(n, perStep, shuffle, seed)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Every epoch deals each index once, and a restored order goes on as the one
// that was saved.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, perStep := rapid.IntRange(1, 20).Draw(t, "n"), rapid.IntRange(1, 7).Draw(t, "per step")
		shuffle, seed := rapid.Bool().Draw(t, "shuffle"), rapid.Uint64().Draw(t, "seed")
		o := newOrder(t, n, perStep, shuffle, seed)
		perEpoch := (n + perStep - 1) / perStep
		if got := o.Steps(2); got != 2*perEpoch {
			t.Fatalf("%d steps for two epochs, want %d", got, 2*perEpoch)
		}
		saveAt := rapid.IntRange(0, 3*perEpoch-1).Draw(t, "save at")
		var resumed *Order
		for epoch := range 3 {
			var dealt []int
			for step := range perEpoch {
				if epoch*perEpoch+step == saveAt {
					state, err := o.State()
					if err != nil {
						t.Fatal(err)
					}
					resumed = newOrder(t, n, perStep, shuffle, seed)
					if err := resumed.Restore(state); err != nil {
						t.Fatal(err)
					}
				}
				indices := slices.Clone(o.Next())
				if resumed != nil && !slices.Equal(resumed.Next(), indices) {
					t.Fatalf("the resumed order differs at epoch %d, step %d", epoch, step)
				}
				dealt = append(dealt, indices...)
			}
			if !shuffle && !slices.IsSorted(dealt) {
				t.Fatalf("sequential deals %v", dealt)
			}
			slices.Sort(dealt)
			for i := range n {
				if len(dealt) != n || dealt[i] != i {
					t.Fatalf("epoch %d deals %v", epoch, dealt)
				}
			}
			if got := o.Epochs(); got != float64(epoch+1) {
				t.Fatalf("%v epochs after %d", got, epoch+1)
			}
		}
	})
}

// Epochs differ, seeds differ, and one seed is one order for ever: these numbers
// were drawn once and must not change.
func TestOrderIsFixed(t *testing.T) {
	o := newOrder(t, 8, 8, true, 42)
	first, second := slices.Clone(o.Next()), slices.Clone(o.Next())
	if want := []int{3, 4, 2, 1, 5, 0, 6, 7}; !slices.Equal(first, want) {
		t.Errorf("first epoch %v, want %v", first, want)
	}
	if slices.Equal(first, second) {
		t.Error("two epochs in one order")
	}
	if other := newOrder(t, 8, 8, true, 43).Next(); slices.Equal(first, other) {
		t.Error("two seeds in one order")
	}
}

func TestOrderRefuses(t *testing.T) {
	if _, err := NewOrder(0, 1, false, 0); err == nil {
		t.Error("no examples: no error")
	}
	o := newOrder(t, 3, 1, false, 0)
	for _, state := range []string{`{"epoch":-1,"next":0}`, `{"epoch":0,"next":4}`, `{"epoch":0,"next":-1}`, `x`} {
		if err := o.Restore([]byte(state)); err == nil {
			t.Errorf("state %s: no error", state)
		}
	}
}

func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, fraction := rapid.IntRange(1, 200).Draw(t, "n"), rapid.Float64Range(0, 0.9).Draw(t, "fraction")
		seed := rapid.Uint64().Draw(t, "seed")
		train, held := Split(n, fraction, seed)
		again, _ := Split(n, fraction, seed)
		if !slices.Equal(train, again) {
			t.Fatal("two splits of one seed differ")
		}
		all := append(slices.Clone(train), held...)
		slices.Sort(all)
		for i := range n {
			if len(all) != n || all[i] != i {
				t.Fatalf("split %v, %v of %d", train, held, n)
			}
		}
		if !slices.IsSorted(train) || !slices.IsSorted(held) || len(train) == 0 || (fraction > 0 && n > 1) != (len(held) > 0) {
			t.Fatalf("split %v, %v of %d by %v", train, held, n, fraction)
		}
	})
}
