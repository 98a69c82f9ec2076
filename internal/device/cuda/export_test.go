package cuda

// ReadsOnce is readsOnce of a launcher of the backend.
func (b *Backend) ReadsOnce(t, n, r int) bool { return newLauncher(b).readsOnce(t, n, r) }

// HaveUnits makes choices fall as on a card of so many multiprocessors.
func (b *Backend) HaveUnits(n int) { b.units = n }

// ForgetMaps lets other maps come to the places of those that no captured graph has.
func (b *Backend) ForgetMaps() {
	clear(b.maps.places)
	b.maps.next = 0
}
