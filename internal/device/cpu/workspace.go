package cpu

import "align/internal/device"

// workspaces are the workers' scratch memory, and one shared block for what a
// kernel passes from one of its phases to the next. Kernels of a backend run
// one at a time and share them; nothing in them outlives a kernel.
type workspaces struct {
	arena  *arena
	of     []device.Memory // one for each worker
	common device.Memory
}

// reserve makes every worker's workspace at least n elements of 8 bytes long
// and the shared one at least shared. After the first run of the largest shape
// it does nothing.
func (s *workspaces) reserve(n, shared int) error {
	for i := range s.of {
		if err := s.grow(&s.of[i], n); err != nil {
			return err
		}
	}
	return s.grow(&s.common, shared)
}

func (s *workspaces) grow(m *device.Memory, n int) error {
	bytes := int64(n) * 8
	if m.Bytes >= bytes {
		return nil
	}
	s.arena.free(m.Addr)
	*m = device.Memory{}
	grown, err := s.arena.alloc(bytes)
	if err != nil {
		return err
	}
	*m = grown
	return nil
}

// carver hands out consecutive slices of one workspace.
type carver struct{ next uintptr }

func (s *workspaces) carve(worker int) carver { return carver{next: s.of[worker].Addr} }

func (s *workspaces) carveShared() carver { return carver{next: s.common.Addr} }

// take is the next n elements, aligned to 8 bytes; their values are arbitrary.
func take[E any](c *carver, n int) []E {
	s := device.Slice[E](device.View{Addr: c.next, Rows: n, Cols: 1})
	c.next += uintptr(n) * 8
	return s
}
