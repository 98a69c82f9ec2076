package cuda

import "testing"

// Places of maps are taken in turns; those of a captured graph, and of the product under
// way, are left alone.
func TestPlacesOfMaps(t *testing.T) {
	var m maps
	take := func(want int) {
		t.Helper()
		if i, ok := m.take(4); i != want && ok || ok != (want >= 0) {
			t.Errorf("place %d, %v: want %d", i, ok, want)
		}
	}
	m.launch = 1
	for i := range 4 {
		take(i)
		m.slots[i].launch = 1
	}
	take(-1) // all four are of this product
	m.launch = 2
	m.slots[0].pinned = true
	take(1)
	m.slots[1].launch = 2
	take(2)
	take(3)
	take(2)
	m.closed = true
	take(-1)
}
