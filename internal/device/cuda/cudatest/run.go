//go:build linux && (amd64 || arm64) && !nogpu

package cudatest

import (
	"errors"
	"testing"
	"unsafe"

	"align/internal/device/cuda/driver"
)

// Number is a value that buffers hold.
type Number interface {
	~uint8 | ~int8 | ~uint16 | ~int16 | ~uint32 | ~int32 | ~uint64 | ~int64 | ~float32 | ~float64
}

// Do runs f with the card's context and fails the test with its error.
func (c *Card) Do(t testing.TB, f func() error) {
	t.Helper()
	if err := c.Device.Do(f); err != nil {
		t.Fatal(err)
	}
}

// Upload returns a buffer with the values.
func Upload[T Number](t testing.TB, c *Card, values []T) *driver.Buffer {
	t.Helper()
	var b *driver.Buffer
	c.Do(t, func() error {
		var err error
		if b, err = c.Alloc(max(size(values), 1)); err != nil || len(values) == 0 {
			return err
		}
		return c.transfer(size(values), func(s *driver.Stream, io *driver.Staging) error {
			copy(io.Bytes, bytesOf(values))
			return s.Upload(b, 0, io, size(values))
		})
	})
	return b
}

// Alloc returns a buffer of n values that hold NaN, or nothing on a real card.
func Alloc[T Number](t testing.TB, c *Card, n int) *driver.Buffer {
	t.Helper()
	var b *driver.Buffer
	c.Do(t, func() (err error) {
		b, err = c.Device.Alloc(n * int(unsafe.Sizeof(*new(T))))
		return err
	})
	return b
}

// Download returns n values of a buffer.
func Download[T Number](t testing.TB, c *Card, b *driver.Buffer, n int) []T {
	t.Helper()
	values := make([]T, n)
	c.Do(t, func() error {
		return c.transfer(size(values), func(s *driver.Stream, io *driver.Staging) error {
			err := errors.Join(s.Download(io, b, 0, size(values)), s.Sync())
			copy(bytesOf(values), io.Bytes)
			return err
		})
	})
	return values
}

// transfer runs f with a stream and staging and waits for it.
func (c *Card) transfer(size int, f func(s *driver.Stream, io *driver.Staging) error) error {
	s, err := c.Stream()
	if err != nil {
		return err
	}
	io, err := c.Stage(size)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(f(s, io), s.Sync(), io.Free(), s.Close())
}

// Run loads PTX and runs one of its kernels to the end.
func (c *Card) Run(t testing.TB, ptx, kernel string, grid, block driver.Dim, sharedMemory int, args ...driver.Arg) {
	t.Helper()
	if err := c.TryRun(ptx, kernel, grid, block, sharedMemory, args...); err != nil {
		t.Fatal(errors.Join(err, c.Fault()))
	}
}

// TryRun is Run with the error returned. After a fault the card is lost.
func (c *Card) TryRun(ptx, kernel string, grid, block driver.Dim, sharedMemory int, args ...driver.Arg) error {
	return c.Device.Do(func() error {
		m, err := c.Load(ptx)
		if err != nil {
			return err
		}
		k, err := m.Kernel(kernel)
		if err != nil {
			return err
		}
		l, err := k.Bind(grid, block, sharedMemory)
		if err != nil {
			return err
		}
		s, err := c.Stream()
		if err != nil {
			return err
		}
		return errors.Join(l.Set(args...), l.On(s), s.Sync(), s.Close(), m.Close())
	})
}

func size[T Number](v []T) int { return len(v) * int(unsafe.Sizeof(*new(T))) }

func bytesOf[T Number](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), size(v))
}
