package cuda

import (
	"fmt"

	"align/internal/device"
	"align/internal/device/cuda/driver"
)

// scratch is memory that a kernel's launches share with each other and with no
// other kernel's. All kernels use the same: they run one after the other.
type scratch struct {
	pool   *pool
	blocks []*block // the last one is in use
	pinned bool     // a captured graph has the address
	// count, not nil, is told what at would take, and nothing is taken.
	count *int64
}

// scratchLeast is what is taken at once, so that small needs do not take turns.
const scratchLeast = 1 << 20

// at returns the address of at least so many bytes, 256-aligned. It is good
// until the kernel that asked has enqueued its launches. It grows, so that the
// first run of a program may allocate and later ones do not; what it grows out of
// goes back to the driver, since the next program's values seldom fit it.
func (s *scratch) at(bytes int64) (uint64, error) {
	if s.pool == nil || !s.pool.passing {
		bytes = max(bytes, scratchLeast)
	}
	if s.count != nil {
		*s.count = max(*s.count, rounded(bytes))
		return countedAddress, nil
	}
	if n := len(s.blocks); s.size() >= bytes {
		return s.blocks[n-1].buffer.Address, nil
	}
	if n := len(s.blocks); n > 0 && !s.pinned {
		if err := s.pool.drop(s.blocks[n-1]); err != nil {
			return 0, err
		}
		s.blocks = s.blocks[:n-1]
	}
	b, err := s.pool.take(bytes)
	if err != nil {
		return 0, fmt.Errorf("working memory of a kernel: %w", err)
	}
	s.blocks = append(s.blocks, b)
	return b.buffer.Address, nil
}

// size is the bytes that at gives without taking more.
func (s *scratch) size() int64 {
	if n := len(s.blocks); n > 0 {
		return s.blocks[n-1].size
	}
	return 0
}

var _ device.Sizer = (*Backend)(nil)

// countedAddress stands for the memory of calls that are only counted.
const countedAddress = 1 << 40

// ScratchBytes is the working memory that the kernels of the steps take of the
// pool: the kernels' own code runs on a backend that counts and launches nothing.
func (b *Backend) ScratchBytes(steps []device.Step) int64 {
	var sizes [slots + 1]int64
	c := b.counting(&sizes)
	for i := range steps {
		// What cannot be bound or called fails when the program is made.
		if k, err := c.Bind(steps[i].Kernel, steps[i].Attr); err == nil {
			_ = k(laidOut(steps[i].Call))
		}
		c.kept.forget() // views of other steps have the same addresses
	}
	// Which left side comes to which of its places hangs on the order of calls
	// through the whole run: each comes to hold the largest.
	left := sizes[slotLeft : slotLeft+numKept]
	var largest, total int64
	for _, n := range left {
		largest = max(largest, n)
	}
	for i := range left {
		if left[i] > 0 {
			left[i] = largest
		}
	}
	for _, n := range sizes {
		total += n
	}
	return total
}

// counting is a backend of the same card that only counts.
func (b *Backend) counting(sizes *[slots + 1]int64) *Backend {
	c := &Backend{device: b.device, units: b.units, means: b.means, vendor: b.vendor, inside: true, counts: true}
	for i := range c.work {
		c.work[i].count = &sizes[i]
	}
	c.scratch.count = &sizes[slots]
	return c
}

// laidOut is a call whose views lie one behind the other; those that are not
// wanted have no address.
func laidOut(c device.Call) *device.Call {
	next := uintptr(countedAddress)
	lay := func(views []device.View) []device.View {
		out := make([]device.View, len(views))
		for i, v := range views {
			if v.Addr != 0 {
				v.Addr = next
				next += uintptr(v.Bytes()+255) / 256 * 256
			}
			out[i] = v
		}
		return out
	}
	return &device.Call{Accumulate: c.Accumulate, In: lay(c.In), Out: lay(c.Out)}
}

// Planner is a backend that can be asked for sizes and nothing else: of a card
// that need not be there, of which limit bytes are used.
func Planner(card driver.Info, limit int64) *Backend {
	return &Backend{device: &driver.Device{Info: card}, units: card.Units, pool: pool{limit: limit}, inside: true, counts: true}
}

// Counts says that nothing runs on the backend: it is a [Planner].
func (b *Backend) Counts() bool { return b.counts }
