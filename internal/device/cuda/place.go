package cuda

import (
	"encoding/binary"
	"fmt"
	"math"

	"align/internal/device"
)

// Place copies the weight, in the type it arrives in, to the card; F64 becomes
// F32. The host holds some megabytes of it at a time.
func (b *Backend) Place(w device.Weight) (v device.View, err error) {
	if !placeable(w.Type) {
		return v, fmt.Errorf("cuda: weight %q has type %s: want a float type or one of blocks", w.Name, w.Type)
	}
	if w.Rows < 0 || w.Cols < 0 || w.Cols%w.Type.BlockSize() != 0 {
		return v, fmt.Errorf("cuda: weight %q has shape %dx%d: want rows of a multiple of %d", w.Name, w.Rows, w.Cols, w.Type.BlockSize())
	}
	if w.Type == device.F64 {
		w = narrowed(w)
	}
	if bytes := w.Type.RowBytes(w.Cols); bytes > chunkBytes {
		return v, fmt.Errorf("cuda: weight %q has rows of %d bytes: want at most %d", w.Name, bytes, chunkBytes)
	}
	err = b.Within(func() error {
		v, err = b.place(w)
		return err
	})
	if err != nil {
		return device.View{}, fmt.Errorf("cuda: place weight %q: %w", w.Name, err)
	}
	return v, nil
}

func (b *Backend) place(w device.Weight) (device.View, error) {
	v := device.View{Rows: w.Rows, Cols: w.Cols, Type: w.Type}
	to, err := b.pool.take(v.Bytes())
	if err != nil {
		return v, err
	}
	v.Addr = uintptr(to.buffer.Address)
	width := int(w.Type.RowBytes(w.Cols))
	step := max(1, chunkBytes/2/max(1, width))
	for row := 0; row < w.Rows; row += step {
		n := min(step, w.Rows-row)
		room, err := b.staging.room(n * width)
		if err == nil {
			err = w.Read(room, row, n)
		}
		if err == nil && len(room) > 0 {
			err = b.staging.send(to.buffer, row*width, n*width)
		}
		if err != nil {
			to.free = true
			return v, err
		}
	}
	return v, nil
}

// narrowed is an F64 weight read as F32.
func narrowed(w device.Weight) device.Weight {
	read := w.Read
	w.Type = device.F32
	w.Read = func(dst []byte, row, n int) error {
		wide := make([]byte, 2*len(dst))
		if err := read(wide, row, n); err != nil {
			return err
		}
		for i := range len(dst) / 4 {
			x := math.Float64frombits(binary.LittleEndian.Uint64(wide[8*i:]))
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(float32(x)))
		}
		return nil
	}
	return w
}

// placeable says whether a weight may be of the type.
func placeable(t device.Type) bool {
	switch t {
	case device.F32, device.F64, device.BF16, device.F16:
		return true
	}
	return t.IsBlock()
}
