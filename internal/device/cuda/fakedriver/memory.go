//go:build linux && (amd64 || arm64) && !nogpu

package fakedriver

import (
	"bytes"
	"unsafe"
)

func (d *Driver) addMemory() {
	d.addHere("cuMemGetInfo_v2", func(s *state, free, total, _, _, _ word) int {
		all := d.cardOf(s).Memory
		*at[uint64](free), *at[uint64](total) = all-s.used, all
		return success
	})
	d.addHere("cuMemAlloc_v2", func(s *state, to, size, _, _, _ word) int {
		if s.used+uint64(size) > d.cardOf(s).Memory {
			return OutOfMemory
		}
		d.last = (d.last>>32 + 1) << 32 // aligned to 256, as the driver's
		address := uint64(d.last)
		// Bytes that nobody has written are NaN in every float format.
		m := bytes.Repeat([]byte{0xff}, int(size))
		s.used, s.memory[address] = s.used+uint64(size), m
		s.peak = max(s.peak, s.used)
		s.ranges.Add(address, m)
		*at[uint64](to) = address
		return success
	})
	d.addHere("cuMemFree_v2", func(s *state, address, _, _, _, _ word) int {
		m := s.memory[uint64(address)]
		if m == nil {
			return InvalidValue
		}
		s.used -= uint64(len(m))
		delete(s.memory, uint64(address))
		s.ranges.Remove(uint64(address))
		return success
	})
	d.addHere("cuMemHostAlloc", func(_ *state, to, size, _, _, _ word) int {
		// Kept by its own address: Go does not move what is on the heap.
		m := make([]byte, size)
		*at[*byte](to) = &m[0]
		d.things[uintptr(unsafe.Pointer(&m[0]))] = m
		return success
	})
	d.addHere("cuMemFreeHost", func(_ *state, address, _, _, _, _ word) int { return d.drop(address) })
	d.addHere("cuMemcpyHtoDAsync_v2", func(s *state, to, from, size, stream, _ word) int {
		return d.enqueue(s, stream, func() int {
			return move(s.bytes(uint64(to)), unsafe.Slice(at[byte](from), size))
		})
	})
	d.addHere("cuMemcpyDtoHAsync_v2", func(s *state, to, from, size, stream, _ word) int {
		return d.enqueue(s, stream, func() int {
			source := s.bytes(uint64(from))
			if len(source) < int(size) {
				return IllegalAddress
			}
			return move(unsafe.Slice(at[byte](to), size), source[:size])
		})
	})
	d.addHere("cuMemcpyDtoDAsync_v2", func(s *state, to, from, size, stream, _ word) int {
		return d.enqueue(s, stream, func() int {
			source := s.bytes(uint64(from))
			if len(source) < int(size) {
				return IllegalAddress
			}
			return move(s.bytes(uint64(to)), source[:size])
		})
	})
	d.addHere("cuMemsetD8Async", func(s *state, to, value, size, stream, _ word) int {
		return d.enqueue(s, stream, func() int {
			m := s.bytes(uint64(to))
			if len(m) < int(size) {
				return IllegalAddress
			}
			for i := range m[:size] {
				m[i] = byte(value)
			}
			return success
		})
	})
}

func move(to, from []byte) int {
	if len(to) < len(from) {
		return IllegalAddress
	}
	copy(to, from)
	return success
}

// cardOf is what the fake shows of a card.
func (d *Driver) cardOf(s *state) (c Card) {
	for i := range d.cards {
		if s == &d.cards[i] {
			c = d.script.Cards[i]
		}
	}
	return c
}

// drop gives a thing back.
func (d *Driver) drop(handle uintptr) int {
	if _, kept := d.things[handle]; !kept {
		return invalidHandle
	}
	delete(d.things, handle)
	return success
}
