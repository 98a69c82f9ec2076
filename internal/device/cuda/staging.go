package cuda

import (
	"errors"

	"align/internal/device/cuda/driver"
)

// staging is pinned host memory that copies go through. Uploads fill one of two
// chunks after the other: the card still reads one while the other is filled.
// Its methods run inside Do.
type staging struct {
	device *driver.Device
	stream *driver.Stream
	chunks [2]chunk
	now    int // chunk being filled
	down   *driver.Staging
}

type chunk struct {
	memory *driver.Staging
	used   int
	read   *driver.Event // reached when the card has read it; recorded if waiting
	waits  bool
}

// chunkBytes is the size of a chunk, and so of the largest row of a weight.
const chunkBytes = 8 << 20

// room is n bytes of the chunk being filled; send copies them.
func (s *staging) room(n int) ([]byte, error) {
	c := &s.chunks[s.now]
	if c.used+n > chunkBytes {
		if err := c.read.Record(s.stream); err != nil {
			return nil, err
		}
		c.waits, s.now = true, 1-s.now
		c = &s.chunks[s.now]
		c.used = 0
	}
	if err := s.ready(c); err != nil {
		return nil, err
	}
	return c.memory.Bytes[c.used : c.used+n], nil
}

// ready makes the chunk or waits for it.
func (s *staging) ready(c *chunk) (err error) {
	if c.memory == nil {
		if c.read, err = s.device.Event(); err != nil {
			return err
		}
		c.memory, err = s.device.Stage(chunkBytes)
		return err
	}
	if c.waits {
		c.waits = false
		return c.read.Sync()
	}
	return nil
}

// send enqueues the copy of the n bytes that room gave.
func (s *staging) send(to *driver.Buffer, at, n int) error {
	c := &s.chunks[s.now]
	err := s.stream.UploadFrom(to, at, c.memory, c.used, n)
	c.used += (n + 15) / 16 * 16
	return err
}

func (s *staging) upload(to *driver.Buffer, at int, src []byte) error {
	for len(src) > 0 {
		n := min(len(src), chunkBytes)
		if left := chunkBytes - s.chunks[s.now].used; left > 0 {
			n = min(n, left)
		}
		room, err := s.room(n)
		if err != nil {
			return err
		}
		copy(room, src)
		if err := s.send(to, at, n); err != nil {
			return err
		}
		src, at = src[n:], at+n
	}
	return nil
}

func (s *staging) download(dst []byte, from *driver.Buffer, at int) (err error) {
	if s.down == nil {
		if s.down, err = s.device.Stage(chunkBytes); err != nil {
			return err
		}
	}
	for len(dst) > 0 {
		n := min(len(dst), chunkBytes)
		if err := errors.Join(s.stream.Download(s.down, from, at, n), s.stream.Sync()); err != nil {
			return err
		}
		copy(dst, s.down.Bytes[:n])
		dst, at = dst[n:], at+n
	}
	return nil
}

func (s *staging) close() error {
	var errs []error
	for i := range s.chunks {
		if c := &s.chunks[i]; c.memory != nil {
			errs = append(errs, c.memory.Free(), c.read.Close())
		}
	}
	if s.down != nil {
		errs = append(errs, s.down.Free())
	}
	return errors.Join(errs...)
}
