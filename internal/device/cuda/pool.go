package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"align/internal/device"
	"align/internal/device/cuda/driver"
)

// pool keeps memory that was given back for the next one who wants as much:
// the driver's own allocation waits for the card. Its methods run inside Do.
type pool struct {
	device *driver.Device
	stream *driver.Stream
	limit  int64 // of held; 0: the card's memory
	held   int64 // bytes taken from the driver
	most   int64 // that held has been
	blocks []*block
	row    row
	// passing memory goes back to the driver soon: no more is taken than is needed.
	passing bool
}

// row is memory of weights that are placed next, one behind the other.
type row struct {
	block *block // nil: there is none
	used  int64  // bytes of it
	left  int    // weights that are to come
}

// block is memory of the driver. It is in blocks by its address.
type block struct {
	buffer *driver.Buffer
	size   int64
	free   bool
}

// Sizes are rounded up so that blocks fit again: the driver hands out large
// memory by pages of 2 MiB anyway.
const (
	smallUnit = 512
	largeUnit = 2 << 20
)

// Reserved is what a model takes of a card: matrices that are placed, in one
// reservation, and vectors, in one each.
func Reserved(matrices, vectors []int64) int64 {
	bytes := rounded(sideBySide(matrices))
	for _, n := range vectors {
		bytes += rounded(n)
	}
	return bytes
}

func rounded(bytes int64) int64 {
	unit := int64(smallUnit)
	if bytes >= largeUnit {
		unit = largeUnit
	}
	return max(unit, (bytes+unit-1)/unit*unit)
}

// sideBySide is the bytes of weights that lie side by side.
func sideBySide(weights []int64) (bytes int64) {
	for _, n := range weights {
		bytes += (n + smallUnit - 1) / smallUnit * smallUnit
	}
	return bytes
}

// reserve makes a row for the weights.
func (p *pool) reserve(weights []int64) (*block, error) {
	b, err := p.take(sideBySide(weights))
	if err == nil {
		p.row = row{block: b, left: len(weights)}
	}
	return b, err
}

// lay is where the next weight goes: into the row, or by itself.
func (p *pool) lay(bytes int64) (b *block, at int64, err error) {
	r := &p.row
	if r.block == nil || r.left == 0 || r.used+bytes > r.block.size {
		b, err = p.take(bytes)
		return b, 0, err
	}
	at = r.used
	r.used, r.left = at+sideBySide([]int64{bytes}), r.left-1
	return r.block, at, nil
}

// take finds or makes a block of at least the given size, with undefined
// contents.
func (p *pool) take(bytes int64) (*block, error) {
	if bytes < 0 {
		return nil, fmt.Errorf("cuda: reservation of %d bytes: want at least 0", bytes)
	}
	size := rounded(bytes)
	if b := p.fitting(size); b != nil {
		b.free = false
		return b, nil
	}
	// Free blocks that do not fit are those of programs that have ended: kept
	// beside the next program's they would add to what a run needs at most. For
	// a small one the card does not wait.
	if n := p.unused(); n > 0 && n <= 4*size {
		p.release()
	}
	b, err := p.make(size)
	if errors.Is(err, driver.ErrOutOfMemory) && p.release() {
		b, err = p.make(size)
	}
	return b, err
}

// fitting is the smallest free block that wastes no more than a fifth.
func (p *pool) fitting(size int64) *block {
	var best *block
	for _, b := range p.blocks {
		if b.free && b.size >= size && b.size <= size+size/4 && (best == nil || b.size < best.size) {
			best = b
		}
	}
	return best
}

func (p *pool) make(size int64) (*block, error) {
	if p.limit > 0 && size > p.limit-p.held {
		return nil, &driver.MemoryError{
			Device: p.device.Ordinal, Asked: uint64(size), Free: uint64(p.limit - p.held), Total: uint64(p.limit), Cause: driver.ErrOutOfMemory,
		}
	}
	buffer, err := p.device.Alloc(int(size))
	if err != nil {
		return nil, err
	}
	b := &block{buffer: buffer, size: size}
	i, _ := slices.BinarySearchFunc(p.blocks, buffer.Address, byAddress)
	p.blocks = slices.Insert(p.blocks, i, b)
	p.held += size
	p.most = max(p.most, p.held)
	return b, nil
}

func byAddress(b *block, address uint64) int { return cmp.Compare(b.buffer.Address, address) }

// give marks the block that begins at the address as free. Work enqueued so far
// may still use it: the next owner's work comes after it on the same stream.
func (p *pool) give(address uint64) {
	if i, found := slices.BinarySearchFunc(p.blocks, address, byAddress); found {
		p.blocks[i].free = true
		if p.blocks[i] == p.row.block {
			p.row = row{} // the block's next owner is another
		}
	}
}

// release gives free blocks back to the driver and says whether there were any.
func (p *pool) release() bool {
	if p.stream.Sync() != nil {
		return false
	}
	before := p.held
	p.blocks = slices.DeleteFunc(p.blocks, func(b *block) bool {
		if !b.free || b.buffer.Free() != nil {
			return false
		}
		p.held -= b.size
		return true
	})
	return p.held < before
}

// drop gives a block back to the driver, once what was enqueued with it is done.
func (p *pool) drop(b *block) error {
	if err := errors.Join(p.stream.Sync(), b.buffer.Free()); err != nil {
		return err
	}
	p.blocks = slices.DeleteFunc(p.blocks, func(x *block) bool { return x == b })
	p.held -= b.size
	return nil
}

// unused is the bytes of free blocks.
func (p *pool) unused() (bytes int64) {
	for _, b := range p.blocks {
		if b.free {
			bytes += b.size
		}
	}
	return bytes
}

// find is the block that holds a view, and the view's place in it.
func (p *pool) find(v device.View) (*block, int, error) {
	address := uint64(v.Addr)
	i, found := slices.BinarySearchFunc(p.blocks, address, byAddress)
	if !found {
		i--
	}
	if i < 0 || p.blocks[i].free || address+uint64(v.Bytes()) > p.blocks[i].buffer.Address+uint64(p.blocks[i].size) {
		return nil, 0, fmt.Errorf("cuda: a view of %d bytes at %#x is in no reservation", v.Bytes(), address)
	}
	return p.blocks[i], int(address - p.blocks[i].buffer.Address), nil
}

func (p *pool) close() error {
	var errs []error
	for _, b := range p.blocks {
		errs = append(errs, b.buffer.Free())
	}
	p.blocks, p.held = nil, 0
	return errors.Join(errs...)
}
