package driver

import (
	"errors"
	"fmt"
	"unsafe"
)

// Buffer is memory of a card: Size bytes from Address.
type Buffer struct {
	Address uint64
	Size    int
	device  *Device
}

// Alloc takes size bytes, aligned to 256, with undefined contents. A full card
// is a [MemoryError].
func (d *Device) Alloc(size int) (*Buffer, error) {
	if size <= 0 {
		return nil, fmt.Errorf("cuda: buffer of %d bytes: want at least 1", size)
	}
	b := &Buffer{Size: size, device: d}
	err := d.call("cuMemAlloc", d.library.table.memoryAlloc, uintptr(unsafe.Pointer(&b.Address)), uintptr(size))
	if errors.Is(err, ErrOutOfMemory) {
		full := &MemoryError{Device: d.Ordinal, Asked: uint64(size), Cause: err}
		// Sizes that cannot be read stay 0: the first error is the one to tell.
		full.Free, full.Total, _ = d.Free()
		return nil, full
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Free gives the memory back; work that uses it must be done.
func (b *Buffer) Free() error {
	address := b.Address
	b.Address, b.Size = 0, 0
	if address == 0 {
		return nil
	}
	return b.device.call("cuMemFree", b.device.library.table.memoryFree, uintptr(address))
}

// Staging is pinned host memory, the one kind that copies run beside. The
// driver owns it, so that no Go pointer outlives a call.
type Staging struct {
	// Bytes must not be touched while a copy of it is under way, nor after Free.
	Bytes   []byte
	address uintptr
	device  *Device
}

// Stage takes size bytes of pinned host memory.
func (d *Device) Stage(size int) (*Staging, error) {
	if size <= 0 {
		return nil, fmt.Errorf("cuda: staging of %d bytes: want at least 1", size)
	}
	s := &Staging{device: d}
	err := d.call("cuMemHostAlloc", d.library.table.hostAlloc, uintptr(unsafe.Pointer(&s.address)), uintptr(size), 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes of pinned host memory", err, size)
	}
	s.Bytes = unsafe.Slice((*byte)(outside(s.address)), size)
	return s, nil
}

// Free gives the memory back; copies of it must be done.
func (s *Staging) Free() error {
	address := s.address
	s.address, s.Bytes = 0, nil
	if address == 0 {
		return nil
	}
	return s.device.call("cuMemFreeHost", s.device.library.table.hostFree, address)
}

// Upload copies size bytes of the staging's start to the buffer from offset on.
func (s *Stream) Upload(to *Buffer, offset int, from *Staging, size int) error {
	return s.UploadFrom(to, offset, from, 0, size)
}

// UploadFrom is Upload from another place of the staging.
func (s *Stream) UploadFrom(to *Buffer, offset int, from *Staging, at, size int) error {
	if at < 0 || at > len(from.Bytes) {
		at = len(from.Bytes) // too small, as the check says
	}
	if err := fits(to, offset, size, len(from.Bytes)-at); err != nil {
		return err
	}
	return s.device.enqueue("cuMemcpyHtoDAsync", s.device.library.table.copyToDevice,
		uintptr(to.Address)+uintptr(offset), from.address+uintptr(at), uintptr(size), s.handle)
}

// Download copies size bytes of the buffer from offset on to the staging's start.
func (s *Stream) Download(to *Staging, from *Buffer, offset, size int) error {
	if err := fits(from, offset, size, len(to.Bytes)); err != nil {
		return err
	}
	return s.device.enqueue("cuMemcpyDtoHAsync", s.device.library.table.copyToHost,
		to.address, uintptr(from.Address)+uintptr(offset), uintptr(size), s.handle)
}

// Copy copies the first size bytes of one buffer to the start of another.
func (s *Stream) Copy(to, from *Buffer, size int) error {
	if err := fits(to, 0, size, from.Size); err != nil {
		return err
	}
	return s.device.enqueue("cuMemcpyDtoDAsync", s.device.library.table.copyOnDevice,
		uintptr(to.Address), uintptr(from.Address), uintptr(size), s.handle)
}

// Fill sets every byte of the buffer.
func (s *Stream) Fill(b *Buffer, value byte) error {
	return s.device.enqueue("cuMemsetD8Async", s.device.library.table.fill,
		uintptr(b.Address), uintptr(value), uintptr(b.Size), s.handle)
}

// fits checks a copy of size bytes between a buffer at an offset and the start
// of something of other bytes.
func fits(b *Buffer, offset, size, other int) error {
	if offset < 0 || size < 0 || offset > b.Size || size > b.Size-offset || size > other {
		return fmt.Errorf("cuda: copy of %d bytes: a buffer of %d at %d and %d on the other side are too small",
			size, b.Size, offset, other)
	}
	return nil
}
