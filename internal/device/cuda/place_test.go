//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/half"
)

// A weight of a wider type is rounded where it is placed, to the nearest, and
// lies as products take it.
func TestPlaceRoundsOnce(t *testing.T) {
	const rows, cols = 3, 16
	values := make([]float32, rows*cols)
	want := make([]byte, 2*rows*cols)
	for i := range values {
		values[i] = float32(i-20) * 1.003
	}
	values[5], values[6] = float32(math.Inf(-1)), float32(math.NaN())
	b := openCard(t)
	for typ, store := range map[device.Type]func(raw []byte, x float32){
		device.F32: func(raw []byte, x float32) { binary.LittleEndian.PutUint32(raw, math.Float32bits(x)) },
		device.F64: func(raw []byte, x float32) { binary.LittleEndian.PutUint64(raw, math.Float64bits(float64(x))) },
		device.F16: func(raw []byte, x float32) { binary.LittleEndian.PutUint16(raw, half.ToF16(x)) },
	} {
		raw := make([]byte, typ.Size()*rows*cols)
		for i, x := range values {
			store(raw[typ.Size()*i:], x)
			if typ == device.F16 {
				x = half.FromF16(half.ToF16(x))
			}
			binary.LittleEndian.PutUint16(want[2*i:], half.ToBF16(x))
		}
		v, err := b.Place(device.Weight{Name: "w", Type: typ, Rows: rows, Cols: cols, Read: func(dst []byte, row, n int) error {
			copy(dst, raw[row*cols*typ.Size():][:n*cols*typ.Size()])
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if v.Type != device.BF16 || v.Rows != rows || v.Cols != cols {
			t.Errorf("%s: the view is %s %dx%d, want bf16 %dx%d", typ, v.Type, v.Rows, v.Cols, rows, cols)
		}
		got := make([]byte, len(want))
		if err := b.Download(got, v); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %x: want %x", typ, got, want)
		}
	}
}
