//go:build linux && (amd64 || arm64) && !nogpu

package driver_test

import (
	"errors"
	"strings"
	"testing"

	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/ptxsim"
)

// boxes are what our products ask for, of a matrix of odd sizes.
var boxes = driver.Boxes{Address: 1 << 40, Rows: 130, Columns: 77, Stride: 160, BoxRows: 64, BoxColumns: 64}

// What is asked for arrives, with the alignment that the driver wants of a map.
func TestTensorMapsAreEncoded(t *testing.T) {
	d := open(t, 1)
	within(t, d, func() error {
		raw, err := d.TensorMap(boxes)
		want := ptxsim.TensorMap{Address: 1 << 40, Rows: 130, Columns: 77, Stride: 160, BoxRows: 64, BoxColumns: 64}
		if bytes := want.Encode(); err != nil || string(raw) != string(bytes[:]) || len(raw) != driver.TensorMapBytes {
			t.Errorf("%d bytes, error %v: want the map's", len(raw), err)
		}
		return nil
	})
}

// What the driver refuses comes back with its sizes.
func TestTensorMapsThatAreRefused(t *testing.T) {
	d := open(t, 1)
	for name, change := range map[string]func(b *driver.Boxes){
		"address":     func(b *driver.Boxes) { b.Address += 8 },
		"stride":      func(b *driver.Boxes) { b.Stride += 8 },
		"long stride": func(b *driver.Boxes) { b.Stride = 1 << 40 },
		"no rows":     func(b *driver.Boxes) { b.Rows = 0 },
		"no columns":  func(b *driver.Boxes) { b.Columns = 0 },
		"rows of box": func(b *driver.Boxes) { b.BoxRows = 257 },
		"an empty box": func(b *driver.Boxes) {
			b.BoxRows = 0
		},
		"more than the swizzle": func(b *driver.Boxes) { b.BoxColumns = 72 },
		"half a chunk":          func(b *driver.Boxes) { b.BoxColumns = 12 },
	} {
		within(t, d, func() error {
			b := boxes
			change(&b)
			_, err := d.TensorMap(b)
			var call *driver.Error
			if !errors.As(err, &call) || call.Call != "cuTensorMapEncodeTiled" || !strings.Contains(err.Error(), "a map of boxes of") {
				t.Errorf("%s: error %v: want a refusal", name, err)
			}
			return nil
		})
	}
}

// A driver that is older than tensor maps serves everything else.
func TestDriversWithoutTensorMaps(t *testing.T) {
	s := script()
	s.Missing = map[string]bool{"cuTensorMapEncodeTiled": true}
	d, err := play(t, s).Device(1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	within(t, d, func() error {
		if _, err := d.TensorMap(boxes); !errors.Is(err, driver.ErrNoTensorMaps) {
			t.Errorf("error %v: want ErrNoTensorMaps", err)
		}
		return nil
	})
}
