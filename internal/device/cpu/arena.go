package cpu

import (
	"fmt"

	"align/internal/device"
)

// maxReservation bounds one reservation: more is a wrong size, not a wish.
const maxReservation = 1 << 46 // 64 TiB

// arena owns the backend's memory. Reservations are few and large, so each is
// a mapping of its own.
type arena struct {
	blocks map[uintptr]mapping
}

func newArena() *arena { return &arena{blocks: map[uintptr]mapping{}} }

// alloc reserves zeroed memory; zero bytes still get an address of their own,
// since a view with address 0 means "not wanted".
func (a *arena) alloc(bytes int64) (device.Memory, error) {
	if bytes < 0 || bytes > maxReservation {
		return device.Memory{}, fmt.Errorf("cpu: cannot reserve %d bytes: limit %d", bytes, int64(maxReservation))
	}
	m, err := newMapping(int(max(bytes, 1)))
	if err != nil {
		return device.Memory{}, fmt.Errorf("cpu: reserve %d bytes: %w", bytes, err)
	}
	a.blocks[m.addr] = m
	return device.Memory{Addr: m.addr, Bytes: bytes}, nil
}

// free gives one reservation back; an unknown address is ignored, so that
// freeing twice does no harm.
func (a *arena) free(addr uintptr) {
	m, ok := a.blocks[addr]
	if !ok {
		return
	}
	delete(a.blocks, addr)
	m.release()
}

func (a *arena) close() {
	for addr := range a.blocks {
		a.free(addr)
	}
}
