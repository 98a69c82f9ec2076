//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"
)

// fake is made once: its functions are never freed.
var fake = sync.OnceValue(fakedriver.New)

// openFake opens a card of 64 MiB that runs no kernel, of which limit bytes are
// used.
func openFake(t *testing.T, limit int64) *cuda.Backend {
	t.Helper()
	fake().Reset(fakedriver.Script{Version: 12040, Cards: []fakedriver.Card{{Name: "Fake", Major: 8, Units: 4, Memory: 64 << 20}}})
	l, err := driver.OpenWith("fake", fake().Resolve)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cuda.OpenOn(l, 0, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func alloc(t *testing.T, b *cuda.Backend, bytes int64) device.Memory {
	t.Helper()
	m, err := b.Alloc(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMemoryIsUsedAgain(t *testing.T) {
	b := openFake(t, 0)
	first := alloc(t, b, 5<<20)
	b.Free(first)
	before := fake().Calls("cuMemAlloc_v2")
	if again := alloc(t, b, 5<<20-100); again.Addr != first.Addr {
		t.Errorf("address %#x: want %#x, which was given back", again.Addr, first.Addr)
	}
	if calls := fake().Calls("cuMemAlloc_v2"); calls != before {
		t.Errorf("the driver was asked %d times", calls-before)
	}
	b.Free(device.Memory{Addr: 12345}) // of nobody
}

func TestMemoryLimit(t *testing.T) {
	b := openFake(t, 20<<20)
	first := alloc(t, b, 10<<20)
	_, err := b.Alloc(11 << 20)
	var full *driver.MemoryError
	if !errors.As(err, &full) || !errors.Is(err, driver.ErrOutOfMemory) || full.Asked != 12<<20 || full.Free != 10<<20 || full.Total != 20<<20 {
		t.Errorf("error %v: want a full card of 20 MiB", err)
	}
	b.Free(first)
	alloc(t, b, 18<<20) // the free block goes back to the driver for it
	if _, err := cuda.OpenOn(nil, 0, -1); err == nil {
		t.Error("a negative limit was taken")
	}
}

func TestFullCard(t *testing.T) {
	b := openFake(t, 0)
	alloc(t, b, 40<<20)
	_, err := b.Alloc(30 << 20)
	var full *driver.MemoryError
	if !errors.As(err, &full) || full.Asked != 30<<20 || full.Total != 64<<20 {
		t.Errorf("error %v: want the sizes", err)
	}
}

// Copies of several chunks of staging arrive whole, in order, beside each other.
func TestCopies(t *testing.T) {
	b := openFake(t, 0)
	const n = 20<<20 + 3
	v := alloc(t, b, n).At(0, device.I32, n/4, 1)
	small := alloc(t, b, 64).At(0, device.I32, 16, 1)
	data := make([]byte, v.Bytes())
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	few := data[100:164]
	got, gotFew := make([]byte, len(data)), make([]byte, 64)
	err := errors.Join(b.Upload(small, few), b.Upload(v, data), b.Download(got, v), b.Download(gotFew, small))
	if err != nil || !bytes.Equal(got, data) || !bytes.Equal(gotFew, few) {
		t.Errorf("error %v: the bytes are not those sent", err)
	}
	if b.Upload(device.View{Addr: 4096, Rows: 1, Cols: 1, Type: device.I32}, make([]byte, 4)) == nil {
		t.Error("a copy to memory of nobody succeeded")
	}
}

func TestPlace(t *testing.T) {
	b := openFake(t, 0)
	const rows, cols = 5000, 1200
	v, err := b.Place(device.Weight{Name: "w", Type: device.BF16, Rows: rows, Cols: cols, Read: func(dst []byte, row, n int) error {
		for i := range dst {
			dst[i] = byte((row*cols*2 + i) * 11 >> 2)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, v.Bytes())
	if err := b.Download(got, v); err != nil {
		t.Fatal(err)
	}
	for i, x := range got {
		if x != byte(i*11>>2) {
			t.Fatalf("byte %d is %d, want %d", i, x, byte(i*11>>2))
		}
	}
}

// A card older than the PTX is refused with its name.
func TestOldCard(t *testing.T) {
	fake().Reset(fakedriver.Script{Version: 12040, Cards: []fakedriver.Card{{Name: "Old", Major: 7, Minor: 5, Memory: 1 << 20}}})
	l, err := driver.OpenWith("fake", fake().Resolve)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cuda.OpenOn(l, 0, 0); err == nil || err.Error() != "cuda: Old has compute capability 7.5: 8.0 or later is needed" {
		t.Errorf("error %v", err)
	}
}

// Weights that are told of before lie side by side, and a weight that was not has
// memory of its own.
func TestReservedWeightsLieSideBySide(t *testing.T) {
	b := openFake(t, 0)
	weight := func(rows int, broken error) device.Weight {
		return device.Weight{Name: "w", Type: device.BF16, Rows: rows, Cols: 1 << 10, Read: func([]byte, int, int) error { return broken }}
	}
	three := []device.Weight{weight(1100, nil), weight(1, nil), weight(1100, nil)}
	m, err := b.Reserve(three)
	if want := cuda.Reserved([]int64{1100 << 11, 1 << 11, 1100 << 11}, nil); err != nil || m.Bytes != want || want != 6<<20 || b.Peak() != want {
		t.Fatalf("%d bytes of %d: want %d, %v", m.Bytes, b.Peak(), want, err)
	}
	next := m.Addr
	for _, w := range three {
		v, err := b.Place(w)
		if err != nil || v.Addr != next {
			t.Fatalf("address %#x: want %#x, %v", v.Addr, next, err)
		}
		next += uintptr(v.Bytes())
	}
	alone, err := b.Place(weight(1, nil))
	if err != nil || alone.Addr >= m.Addr && alone.Addr < m.Addr+uintptr(m.Bytes) {
		t.Fatalf("a fourth weight has the address %#x: want none of the three's, %v", alone.Addr, err)
	}
	b.Free(m)

	// What could not be read leaves its memory to others.
	if m, err = b.Reserve(three); err != nil {
		t.Fatal(err)
	}
	unread := errors.New("unread")
	if _, err := b.Place(weight(1100, unread)); !errors.Is(err, unread) {
		t.Errorf("error %v: want %v", err, unread)
	}
	again, err := b.Reserve(three)
	if err != nil || again.Addr != m.Addr {
		t.Errorf("address %#x: want %#x again, %v", again.Addr, m.Addr, err)
	}
	if _, err := b.Reserve([]device.Weight{weight(1<<20, nil)}); !errors.Is(err, driver.ErrOutOfMemory) {
		t.Errorf("error %v: want a full card", err)
	}
}
