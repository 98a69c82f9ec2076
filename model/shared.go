package model

import "align/internal/device"

// Shared is memory that sessions use in turns: a method that samples, scores and
// learns on one base has the space of its largest session, not of all. What a
// session computed is gone once another one runs, and is to be read before.
type Shared struct {
	backend device.Backend
	memory  device.Memory
}

// NewShared is none yet: it grows as its sessions need.
func NewShared(b device.Backend) *Shared { return &Shared{backend: b} }

// Turns makes *s, where it is nil, memory of the model's device, and returns it.
func (m *Model) Turns(s **Shared) *Shared {
	if *s == nil {
		*s = NewShared(m.backend)
	}
	return *s
}

// hold makes sure that there are so many bytes. Where they move, sessions follow
// when they next run.
func (s *Shared) hold(bytes int64) (err error) {
	if s.memory.Addr != 0 && s.memory.Bytes >= bytes {
		return nil
	}
	s.Close()
	s.memory, err = s.backend.Alloc(bytes)
	return err
}

// Bytes is what the sessions have together.
func (s *Shared) Bytes() int64 { return s.memory.Bytes }

// Close gives the memory back; the sessions are dead unless they run again.
func (s *Shared) Close() {
	if s.memory.Addr != 0 {
		s.backend.Free(s.memory)
	}
	s.memory = device.Memory{}
}
