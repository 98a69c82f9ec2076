package cuda

import (
	"errors"
	"fmt"

	"align/internal/device"
	"align/internal/device/cuda/driver"
)

// Backend is one card.
type Backend struct {
	device  *driver.Device
	stream  *driver.Stream
	units   int // multiprocessors that choices of tiles go by
	pool    pool
	staging *staging
	modules map[string]*driver.Module
	entries map[string]*driver.Kernel
	scratch scratch
	work    [slots]scratch // of products, attention and the head
	kept    kept
	maps    maps
	means   Means
	vendor  *vendor // nil: all products are our own
	proofs  *proofs // nil: kernels run unproven
	graphs  []*driver.Graph
	inside  bool // the caller runs on the device's thread
	counts  bool // nothing is launched, see ScratchBytes
}

var _ device.Backend = (*Backend)(nil)

// Open takes a card of the machine, counted from 0, of whose memory at most
// limit bytes are used (0: all). Errors are those of [driver.Open] and
// [driver.Library.Device].
func Open(ordinal int, limit int64) (*Backend, error) {
	l, err := driver.Open()
	if err != nil {
		return nil, err
	}
	b, err := OpenOn(l, ordinal, limit)
	if err != nil {
		return nil, err
	}
	if err := b.askVendor(l); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// OpenOn is Open with a driver that is already loaded.
func OpenOn(l *driver.Library, ordinal int, limit int64) (*Backend, error) {
	if limit < 0 {
		return nil, fmt.Errorf("cuda: memory limit must not be negative, got %d", limit)
	}
	d, err := l.Device(ordinal)
	if err != nil {
		return nil, err
	}
	if d.Major < 8 {
		d.Close()
		return nil, fmt.Errorf("cuda: %s has compute capability %d.%d: 8.0 or later is needed", d.Name, d.Major, d.Minor)
	}
	means, err := MeansOf(d.Info, l.Version())
	if err != nil {
		d.Close()
		return nil, err
	}
	b := &Backend{device: d, units: d.Units, means: means, modules: map[string]*driver.Module{}, entries: map[string]*driver.Kernel{}}
	err = d.Do(func() (err error) {
		b.stream, err = d.Stream()
		return err
	})
	if err != nil {
		d.Close()
		return nil, err
	}
	b.pool = pool{device: d, stream: b.stream, limit: limit}
	b.staging = &staging{device: d, stream: b.stream}
	b.scratch.pool = &b.pool
	return b, nil
}

// Name is "cuda:" and the card's number.
func (b *Backend) Name() string { return fmt.Sprintf("cuda:%d", b.device.Ordinal) }

// Numerics names what decides the bits of results. Numbers of equal numerics
// can be compared bit by bit.
func (b *Backend) Numerics() string {
	name := fmt.Sprintf("cuda%d.%d-%s-keys%d", b.device.Major, b.device.Minor, device.BF16, partTiles*device.PageRows)
	if b.vendor != nil || b.means.Wgmma {
		name += "-" + b.Products()
	}
	return name
}

// Means are what the backend multiplies with.
func (b *Backend) Means() Means { return b.means }

// Info describes the card.
func (b *Backend) Info() driver.Info { return b.device.Info }

// Available is the memory in bytes that can still be reserved: what is free of
// the card, within the limit, and what the pool keeps unused.
func (b *Backend) Available() (bytes int64, err error) {
	if b.counts {
		return b.pool.limit, nil
	}
	err = b.Within(func() error {
		free, _, err := b.device.Free()
		bytes = int64(free)
		if b.pool.limit > 0 {
			bytes = min(bytes, b.pool.limit-b.pool.held)
		}
		bytes += b.pool.unused()
		return err
	})
	return bytes, err
}

// Peak is the most bytes of the card that were held at a time; what the driver
// keeps for itself is not in them.
func (b *Backend) Peak() int64 { return b.pool.most }

// Within runs f where every use of the backend is a plain call: many launches
// then cost one change of thread.
func (b *Backend) Within(f func() error) error {
	if b.inside {
		return f()
	}
	b.inside = true
	err := b.device.Do(f)
	b.inside = false
	return err
}

// Capture records the kernels that f enqueues, instead of running them, and
// returns what enqueues all of them by one call. They run with the views that
// they had. F must have run once, so that nothing is allocated in it.
func (b *Backend) Capture(f func() error) (replay func() error, err error) {
	err = b.Within(func() error {
		if err := b.level(); err != nil {
			return err
		}
		// What was enqueued before is no part of it.
		if err := b.stream.Sync(); err != nil {
			return err
		}
		b.kept.forget()
		b.maps.closed = true
		g, err := b.stream.Capture(f)
		b.maps.closed = false
		b.kept.forget()
		if err != nil {
			return err
		}
		b.graphs = append(b.graphs, g)
		b.scratch.pinned = true
		for i := range b.work {
			b.work[i].pinned = true
		}
		run := func() error {
			b.kept.forget() // what it writes is not told
			return g.On(b.stream)
		}
		replay = func() error { return b.Within(run) }
		return nil
	})
	return replay, err
}

// Alloc reserves zeroed memory of the card. A full card, and one that is full
// up to the limit, are a [driver.MemoryError].
func (b *Backend) Alloc(bytes int64) (m device.Memory, err error) {
	err = b.Within(func() error {
		block, err := b.pool.take(bytes)
		if err != nil {
			return err
		}
		m = device.Memory{Addr: uintptr(block.buffer.Address), Bytes: block.size}
		return b.stream.Fill(block.buffer, 0)
	})
	return m, err
}

// Free gives memory back; kernels that were enqueued before may still use it.
func (b *Backend) Free(m device.Memory) {
	// The pool knows what is its own; what it does not know was freed before.
	_ = b.Within(func() error {
		b.kept.forget()
		b.pool.give(uint64(m.Addr))
		return nil
	})
}

// Upload copies host bytes into the view, in order with the kernels. It returns
// when src is read, not when the card has it.
func (b *Backend) Upload(dst device.View, src []byte) error {
	if err := checkCopy("upload", dst, len(src)); err != nil || len(src) == 0 {
		return err
	}
	return b.Within(func() error {
		b.kept.written(dst)
		block, at, err := b.pool.find(dst)
		if err != nil {
			return err
		}
		return b.staging.upload(block.buffer, at, src)
	})
}

// Download copies the view's bytes to the host after all earlier kernels.
func (b *Backend) Download(dst []byte, src device.View) error {
	if err := checkCopy("download", src, len(dst)); err != nil || len(dst) == 0 {
		return err
	}
	return b.Within(func() error {
		block, at, err := b.pool.find(src)
		if err != nil {
			return err
		}
		return b.staging.download(dst, block.buffer, at)
	})
}

// Sync waits for all enqueued kernels and returns the first error.
func (b *Backend) Sync() error { return b.Within(b.stream.Sync) }

// Close gives the card back; every view is dead then.
func (b *Backend) Close() {
	if b.counts {
		return
	}
	// A lost device cannot give anything back, and nothing hangs on it.
	_ = b.Within(func() error {
		errs := []error{b.stream.Sync(), b.vendor.close(), b.staging.close(), b.pool.close()}
		for _, g := range b.graphs {
			errs = append(errs, g.Close())
		}
		for _, m := range b.modules {
			errs = append(errs, m.Close())
		}
		return errors.Join(append(errs, b.stream.Close())...)
	})
	b.device.Close()
}

func checkCopy(what string, v device.View, n int) error {
	if v.Layout != device.Plain {
		return fmt.Errorf("cuda: %s of a packed view", what)
	}
	if int64(n) != v.Bytes() {
		return fmt.Errorf("cuda: %s of %d bytes: the view has %d", what, n, v.Bytes())
	}
	if v.Addr == 0 && n > 0 {
		return fmt.Errorf("cuda: %s of a view without an address", what)
	}
	return nil
}
