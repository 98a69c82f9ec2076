package cpu

import "align/internal/device"

// numKept is how many left sides of products stay packed: with LoRA a layer's
// backward pass goes back and forth between its dy, the next one's and their
// common x.
const numKept = 3

// kept is packed left sides of products. Neighbouring kernels read the same x
// (q, k and v; gate and up) or dy, which is then packed once. It rests on
// memory changing only by kernels, Upload and Free, which say so to written
// and forget.
type kept struct {
	slots   [numKept]keptX
	scratch device.Memory // for those that are not kept
	clock   uint64
}

// keptX is the panels of one x; addr 0 is of none.
type keptX struct {
	addr       uintptr
	rows, cols int
	bytes      uintptr
	memory     device.Memory
	used       uint64 // when it was last asked for
}

func (s *keptX) isOf(x device.View) bool {
	return s.addr == x.Addr && s.rows == x.Rows && s.cols == x.Cols && s.bytes == uintptr(x.Bytes())
}

// find is the slot that holds x, or the one that was used longest ago.
func (k *kept) find(x device.View) (slot *keptX, holds bool) {
	k.clock++
	slot = &k.slots[0]
	for i := range k.slots {
		s := &k.slots[i]
		if s.isOf(x) {
			slot, holds = s, true
			break
		}
		if s.used < slot.used {
			slot = s
		}
	}
	slot.used = k.clock
	return slot, holds
}

// panels is the memory of the panels that hold x, Addr 0 where none do.
func (k *kept) panels(x device.View) device.Memory {
	for i := range k.slots {
		if s := &k.slots[i]; s.isOf(x) {
			k.clock++
			s.used = k.clock
			return s.memory
		}
	}
	return device.Memory{}
}

// written forgets what was packed from memory that has changed.
func (k *kept) written(v device.View) {
	for i := range k.slots {
		s := &k.slots[i]
		end := s.addr + s.bytes
		if s.addr < v.Addr+uintptr(v.Bytes()) && v.Addr < end {
			s.addr = 0
		}
	}
}

// forget forgets everything.
func (k *kept) forget() {
	for i := range k.slots {
		k.slots[i].addr = 0
	}
}

// watch tells kept what the kernel writes.
func (f *fast) watch(kernel device.Kernel) device.Kernel {
	return func(c *device.Call) error {
		err := kernel(c)
		for _, v := range c.Out {
			if v.Addr != 0 {
				f.kept.written(v)
			}
		}
		return err
	}
}

// panelsFor is the memory for x's panels, at least of the given size, and
// whether it holds them already. Those of a product that passes are not kept, nor is
// what is packed from the shared workspace, which changes within a kernel.
func (f *fast) panelsFor(x device.View, passes bool, bytes int64) (memory device.Memory, holds bool, err error) {
	spaces, n := &f.b.spaces, words8(bytes)
	common := spaces.common
	if passes || x.Addr >= common.Addr && x.Addr < common.Addr+uintptr(common.Bytes) {
		err = spaces.grow(&f.kept.scratch, n)
		return f.kept.scratch, false, err
	}
	slot, holds := f.kept.find(x)
	if slot.memory.Bytes < 8*int64(n) {
		holds = false
	}
	slot.addr = 0
	if err := spaces.grow(&slot.memory, n); err != nil {
		return device.Memory{}, false, err
	}
	slot.addr, slot.rows, slot.cols, slot.bytes = x.Addr, x.Rows, x.Cols, uintptr(x.Bytes())
	return slot.memory, holds, nil
}
