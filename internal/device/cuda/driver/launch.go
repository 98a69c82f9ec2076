package driver

import (
	"fmt"
	"math"
	"unsafe"
)

// Arg is one argument of a kernel.
type Arg struct {
	bits uint64
	size int
}

// U32 is an argument of 4 bytes.
func U32(v uint32) Arg { return Arg{uint64(v), 4} }

// I32 is an argument of 4 bytes.
func I32(v int32) Arg { return Arg{uint64(uint32(v)), 4} }

// I64 is an argument of 8 bytes.
func I64(v int64) Arg { return Arg{uint64(v), 8} }

// F64 is an argument of 8 bytes.
func F64(v float64) Arg { return Arg{math.Float64bits(v), 8} }

// U64 is an argument of 8 bytes.
func U64(v uint64) Arg { return Arg{v, 8} }

// F32 is an argument of 4 bytes.
func F32(v float32) Arg { return Arg{uint64(math.Float32bits(v)), 4} }

// Ptr is the address of a buffer, an argument of 8 bytes.
func Ptr(b *Buffer) Arg { return Arg{b.Address, 8} }

// Dim is the extent of a grid in blocks or of a block in threads.
type Dim struct{ X, Y, Z int }

// Launch is a kernel with its geometry and room for its arguments, made once
// and enqueued many times without an allocation.
type Launch struct {
	kernel *Kernel
	values []uint64  // one slot per parameter
	places []uintptr // of the slots
	call   [maxArguments]uintptr
}

// plainSharedMemory is what a block may have without opting in.
const plainSharedMemory = 48 << 10

// Bind makes a launch. SharedMemory is bytes per block beside those that the
// kernel declares. All arguments are 0 until Set.
func (k *Kernel) Bind(grid, block Dim, sharedMemory int) (*Launch, error) {
	if err := k.extents(grid, block); err != nil {
		return nil, err
	}
	if sharedMemory < 0 || sharedMemory > max(plainSharedMemory, k.device.SharedMemory) {
		return nil, fmt.Errorf("cuda: kernel %s: %d bytes of shared memory: the card has %d per block",
			k.Name, sharedMemory, k.device.SharedMemory)
	}
	if sharedMemory > plainSharedMemory {
		err := k.device.call("cuFuncSetAttribute", k.device.library.table.functionSetAttribute,
			k.handle, functionSharedMemory, uintptr(sharedMemory))
		if err != nil {
			return nil, err
		}
	}
	// The slots are on the heap, where Go does not move them, and live as long
	// as the launch: their addresses stay good.
	l := &Launch{kernel: k, values: make([]uint64, len(k.sizes)+1), places: make([]uintptr, len(k.sizes)+1)}
	for i := range l.values {
		l.places[i] = uintptr(unsafe.Pointer(&l.values[i]))
	}
	l.call = [maxArguments]uintptr{
		k.handle,
		uintptr(grid.X), uintptr(grid.Y), uintptr(grid.Z),
		uintptr(block.X), uintptr(block.Y), uintptr(block.Z),
		uintptr(sharedMemory), 0, uintptr(unsafe.Pointer(&l.places[0])), 0,
	}
	return l, nil
}

// extents checks a grid and a block against the limits of every card (CUDA C++
// Programming Guide, "Technical Specifications per Compute Capability").
func (k *Kernel) extents(grid, block Dim) error {
	const most, threads = 1<<16 - 1, 1024
	switch {
	case min(grid.X, grid.Y, grid.Z, block.X, block.Y, block.Z) < 1:
		return fmt.Errorf("cuda: kernel %s: grid %v of blocks %v: want at least 1 each", k.Name, grid, block)
	case grid.X > math.MaxInt32 || grid.Y > most || grid.Z > most:
		return fmt.Errorf("cuda: kernel %s: grid %v: want at most %d, %d and %d blocks", k.Name, grid, math.MaxInt32, most, most)
	case block.X > threads || block.Y > threads || block.Z > 64 || block.X*block.Y*block.Z > threads:
		return fmt.Errorf("cuda: kernel %s: blocks %v: want at most %d threads, 64 deep", k.Name, block, threads)
	}
	return nil
}

// Shape gives the launch another grid and block, within the limits of cards, for
// when it is enqueued next.
func (l *Launch) Shape(grid, block Dim) error {
	if err := l.kernel.extents(grid, block); err != nil {
		return err
	}
	l.call[1], l.call[2], l.call[3] = uintptr(grid.X), uintptr(grid.Y), uintptr(grid.Z)
	l.call[4], l.call[5], l.call[6] = uintptr(block.X), uintptr(block.Y), uintptr(block.Z)
	return nil
}

// Set gives all arguments, in order, with the sizes that the kernel declares.
func (l *Launch) Set(args ...Arg) error {
	sizes := l.kernel.sizes
	if len(args) != len(sizes) {
		return fmt.Errorf("cuda: kernel %s: %d arguments: it takes %d", l.kernel.Name, len(args), len(sizes))
	}
	for i, a := range args {
		if a.size != sizes[i] {
			return fmt.Errorf("cuda: kernel %s: argument %d has %d bytes: the parameter has %d", l.kernel.Name, i, a.size, sizes[i])
		}
		l.values[i] = a.bits
	}
	return nil
}

// On enqueues the launch; the driver copies the arguments before it returns.
func (l *Launch) On(s *Stream) error {
	l.call[8] = s.handle
	d := l.kernel.device
	return d.call("cuLaunchKernel", d.library.table.run, l.call[:]...)
}
