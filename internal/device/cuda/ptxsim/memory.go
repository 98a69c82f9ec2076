package ptxsim

import (
	"fmt"
	"sort"
	"sync"
)

// Memory is a card's global memory: buffers at addresses.
type Memory struct {
	mu    sync.RWMutex
	areas []*area // by start
}

// area is a buffer with what the race checker knows of it.
type area struct {
	start uint64
	bytes []byte
	pages [][]cell // made when first touched
}

// Add makes bytes the memory from start on.
func (m *Memory) Add(start uint64, bytes []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := sort.Search(len(m.areas), func(i int) bool { return m.areas[i].start > start })
	m.areas = append(m.areas, nil)
	copy(m.areas[i+1:], m.areas[i:])
	m.areas[i] = &area{start: start, bytes: bytes}
}

// Remove takes the buffer at start away.
func (m *Memory) Remove(start uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, a := range m.areas {
		if a.start == start {
			m.areas = append(m.areas[:i], m.areas[i+1:]...)
			return
		}
	}
}

// find returns the buffer at or below an address, nil where there is none.
func (m *Memory) find(address uint64) *area {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := sort.Search(len(m.areas), func(i int) bool { return m.areas[i].start > address })
	if i == 0 {
		return nil
	}
	return m.areas[i-1]
}

// near tells where an address lies beside the buffers.
func (m *Memory) near(address uint64) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	best, text := uint64(1)<<63, "there are no buffers"
	for _, a := range m.areas {
		end := a.start + uint64(len(a.bytes))
		if address >= end && address-end < best {
			best = address - end
			text = fmt.Sprintf("%d bytes behind the end of the buffer of %d bytes at %#x", best, len(a.bytes), a.start)
		}
		if address < a.start && a.start-address < best {
			best = a.start - address
			text = fmt.Sprintf("%d bytes before the buffer of %d bytes at %#x", best, len(a.bytes), a.start)
		}
		if address >= a.start && address < end {
			return fmt.Sprintf("%d bytes before the end of the buffer of %d bytes at %#x", end-address, len(a.bytes), a.start)
		}
	}
	return text
}

// access is what an instruction does to memory, for each lane.
type access struct {
	space  space
	bytes  int // of a lane
	write  bool
	atomic bool
	many   bool // what a lane's address yields goes to other lanes
}

// resolve turns generic addresses into those of one space.
func (w *warp) resolve(s space, lanes uint32) space {
	if s != generic {
		return s
	}
	first := w.addresses[firstLane(lanes)] >> 56
	for lane := range width {
		if lanes>>lane&1 == 0 {
			continue
		}
		if w.addresses[lane]>>56 != first {
			w.fault(OutOfBounds, lane, "the lanes' generic addresses are of different spaces: not simulated")
		}
		w.addresses[lane] &= 1<<56 - 1
	}
	switch first {
	case 0:
		return global
	case sharedAt >> 56:
		return shared
	case localAt >> 56:
		return local
	}
	w.fault(OutOfBounds, firstLane(lanes), "generic address %#x", w.addresses[firstLane(lanes)]|first<<56)
	return generic
}

// touch checks the access of each lane at w.addresses, counts it and returns
// the memory of each lane. It resolves generic addresses in place.
func (w *warp) touch(a *access, lanes uint32) *[width][]byte {
	s := w.resolve(a.space, lanes)
	out := &w.block.slices
	switch s {
	case global:
		w.countSectors(lanes, a.bytes)
		for lane := range width {
			if lanes>>lane&1 != 0 {
				out[lane] = w.global(a, lane)
			}
		}
	case shared:
		w.countWavefronts(lanes, a.bytes)
		for lane := range width {
			if lanes>>lane&1 != 0 {
				out[lane] = w.shared(a, lane)
			}
		}
	default:
		w.block.stats.Local++
		for lane := range width {
			if lanes>>lane&1 != 0 {
				out[lane] = w.localBytes(a, lane)
			}
		}
	}
	return out
}

func (w *warp) aligned(a *access, lane int) uint64 {
	at := w.addresses[lane]
	if at&uint64(a.bytes-1) != 0 {
		w.fault(Misaligned, lane, "address %#x of %d bytes", at, a.bytes)
	}
	return at
}

func (w *warp) global(a *access, lane int) []byte {
	at := w.aligned(a, lane)
	b := w.block
	in := b.last
	if in == nil || at < in.start || at+uint64(a.bytes) > in.start+uint64(len(in.bytes)) {
		in = b.areaOf(at)
		if in == nil || at+uint64(a.bytes) > in.start+uint64(len(in.bytes)) {
			w.fault(OutOfBounds, lane, "global address %#x of %d bytes: %s", at, a.bytes, b.grid.memory.near(at))
		}
		b.last = in
	}
	offset := int(at - in.start)
	if b.grid.sim.Races {
		w.checkGlobal(a, in, offset, lane)
	}
	return in.bytes[offset : offset+a.bytes : offset+a.bytes]
}

// areaOf finds a buffer, or the module's variables.
func (b *block) areaOf(at uint64) *area {
	if at>>48 == variablesAt>>48 {
		return b.grid.variables
	}
	return b.grid.memory.find(at)
}

func (w *warp) shared(a *access, lane int) []byte {
	at := w.aligned(a, lane)
	b := w.block
	if at < reserved || at+uint64(a.bytes) > uint64(len(b.shared)) {
		w.fault(OutOfBounds, lane, "shared address %#x of %d bytes: the block has %d from %#x on", at, a.bytes, len(b.shared)-reserved, reserved)
	}
	offset := int(at)
	if b.grid.sim.Races {
		w.checkShared(a, offset, lane)
	}
	if a.write {
		if len(b.objects) > 0 {
			w.keepObjects(offset, a.bytes, lane)
		}
		if b.kernel.proxies {
			w.overwrite(offset, a.bytes, lane)
		}
		b.filled.set(offset, a.bytes)
	} else if missing := b.filled.missing(offset, a.bytes); missing >= 0 {
		w.fault(Unwritten, lane, "shared memory at %#x is read before it is written", missing)
	}
	return b.shared[offset : offset+a.bytes : offset+a.bytes]
}

func (w *warp) localBytes(a *access, lane int) []byte {
	at := w.aligned(a, lane)
	size := w.block.kernel.LocalBytes
	if at+uint64(a.bytes) > uint64(size) {
		w.fault(OutOfBounds, lane, "local address %#x of %d bytes: a thread has %d", at, a.bytes, size)
	}
	offset := (w.id*width+lane)*size + int(at)
	f := w.block.localFilled
	if a.write {
		f.set(offset, a.bytes)
	} else if f.missing(offset, a.bytes) >= 0 {
		w.fault(Unwritten, lane, "local memory at %#x is read before it is written", at)
	}
	return w.block.local[offset : offset+a.bytes : offset+a.bytes]
}

// bitset holds one bit per byte of memory.
type bitset []uint64

func makeBitset(n int) bitset { return make(bitset, n/64+2) }

// set marks n bytes, at most 56 at a time.
func (b bitset) set(at, n int) {
	mask := uint64(1)<<n - 1
	i, s := at>>6, at&63
	b[i] |= mask << s
	b[i+1] |= mask >> 1 >> (63 - s)
}

// unset takes marks away.
func (b bitset) unset(at, n int) {
	mask := uint64(1)<<n - 1
	i, s := at>>6, at&63
	b[i] &^= mask << s
	b[i+1] &^= mask >> 1 >> (63 - s)
}

// any tells whether one of n bytes is marked.
func (b bitset) any(at, n int) bool {
	mask := uint64(1)<<n - 1
	i, s := at>>6, at&63
	return (b[i]>>s|b[i+1]<<1<<(63-s))&mask != 0
}

// missing returns the first byte without a mark, -1 for none.
func (b bitset) missing(at, n int) int {
	mask := uint64(1)<<n - 1
	i, s := at>>6, at&63
	got := b[i]>>s | b[i+1]<<1<<(63-s)
	if got&mask == mask {
		return -1
	}
	for j := range n {
		if got>>j&1 == 0 {
			return at + j
		}
	}
	return -1
}
