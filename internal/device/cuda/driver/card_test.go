//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"align/internal/device/cuda/driver"
)

// TestCard drives every real card: memory, copies, translation, a launch, a
// graph and events. It is what shows that the binding's C side is right.
func TestCard(t *testing.T) {
	if os.Getenv("ALIGN_TEST_GPU") != "1" {
		t.Skip("ALIGN_TEST_GPU is not 1: no card is tried")
	}
	l, err := driver.Open()
	if err != nil {
		t.Fatal(err)
	}
	infos, err := l.Devices()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, CUDA %s, %d cards", l.Place(), l.Version(), len(infos))
	for _, info := range infos {
		t.Run(info.Name, func(t *testing.T) {
			d, err := l.Device(info.Ordinal)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			within(t, d, func() error { return scaleOnCard(t, d) })
		})
	}
}

func scaleOnCard(t *testing.T, d *driver.Device) error {
	const n, blocks, threads = 1000, 4, 256
	free, total, err := d.Free()
	t.Logf("%+v, %d of %d bytes free, error %v", d.Info, free, total, err)
	if _, err := d.Alloc(int(total) * 2); !errors.Is(err, driver.ErrOutOfMemory) {
		t.Errorf("twice the card's memory: error %v: want ErrOutOfMemory", err)
	}
	start := time.Now()
	k := must(must(d.Load(scalePTX)).Kernel("scale"))
	t.Logf("translated in %v: %d registers, %d local bytes", time.Since(start), k.Registers, k.LocalBytes)
	launch := must(k.Bind(driver.Dim{X: blocks, Y: 1, Z: 1}, driver.Dim{X: threads, Y: 1, Z: 1}, 0))
	s, x, io := must(d.Stream()), must(d.Alloc(4*n)), must(d.Stage(4*n))
	for i := range n {
		put(io.Bytes, i, float32(i))
	}
	begin, end := must(d.Event()), must(d.Event())
	g, err := func() (*driver.Graph, error) {
		if err := errors.Join(s.Upload(x, 0, io, 4*n), launch.Set(driver.Ptr(x), driver.Ptr(x), driver.F32(2), driver.U32(n)), launch.On(s), s.Sync()); err != nil {
			return nil, err
		}
		return s.Capture(func() error { return launch.On(s) })
	}()
	if err != nil {
		return err
	}
	if err := errors.Join(begin.Record(s), g.On(s), g.On(s), end.Record(s), s.Download(io, x, 0, 4*n), s.Sync()); err != nil {
		return err
	}
	for i := range n {
		if got := get(io.Bytes, i); got != 8*float32(i) {
			return fmt.Errorf("x[%d] = %v: want %v", i, got, 8*float32(i))
		}
	}
	took, err := end.Since(begin)
	t.Logf("two launches of a graph: %v", took)
	return errors.Join(err, g.Close(), begin.Close(), end.Close(), x.Free(), io.Free(), s.Close())
}

// The check of a card passes on the fake, so that what fails on a card is the
// card's side.
func TestTheCardsCheckItself(t *testing.T) {
	d := open(t, 1)
	within(t, d, func() error { return scaleOnCard(t, d) })
}
