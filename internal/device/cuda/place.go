package cuda

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"align/internal/device"
	"align/internal/half"
)

// Place copies the weight to the card: blocks as they are, all others rounded to
// bf16, once, since products would round them every time. The host holds some
// megabytes of it at a time.
func (b *Backend) Place(w device.Weight) (v device.View, err error) {
	if !placeable(w.Type) {
		return v, fmt.Errorf("cuda: weight %q has type %s: want a float type or one of blocks", w.Name, w.Type)
	}
	if w.Rows < 0 || w.Cols < 0 || w.Cols%w.Type.BlockSize() != 0 {
		return v, fmt.Errorf("cuda: weight %q has shape %dx%d: want rows of a multiple of %d", w.Name, w.Rows, w.Cols, w.Type.BlockSize())
	}
	if HeldType(w.Type) != w.Type {
		w = inBF16(w)
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
	to, start, err := b.pool.lay(v.Bytes())
	if err != nil {
		return v, err
	}
	v.Addr = uintptr(to.buffer.Address + uint64(start))
	width := int(w.Type.RowBytes(w.Cols))
	step := max(1, chunkBytes/2/max(1, width))
	for row := 0; row < w.Rows; row += step {
		n := min(step, w.Rows-row)
		room, err := b.staging.room(n * width)
		if err == nil {
			err = w.Read(room, row, n)
		}
		if err == nil && len(room) > 0 {
			err = b.staging.send(to.buffer, int(start)+row*width, n*width)
		}
		if err != nil {
			b.pool.give(to.buffer.Address) // with all that lies in it: no model lacks one of its weights
			return v, err
		}
	}
	return v, nil
}

// Reserve takes the memory of weights that Place is to be called with next.
func (b *Backend) Reserve(weights []device.Weight) (m device.Memory, err error) {
	sizes := make([]int64, len(weights))
	for i, w := range weights {
		sizes[i] = device.View{Rows: w.Rows, Cols: w.Cols, Type: HeldType(w.Type)}.Bytes()
	}
	err = b.Within(func() error {
		block, err := b.pool.reserve(sizes)
		if err == nil {
			m = device.Memory{Addr: uintptr(block.buffer.Address), Bytes: block.size}
		}
		return err
	})
	if err != nil {
		return m, fmt.Errorf("cuda: %d weights: %w", len(weights), err)
	}
	return m, nil
}

var _ device.Reserver = (*Backend)(nil)

// inBF16 is a weight of a wider type, read as the bf16 that products take.
func inBF16(w device.Weight) device.Weight {
	from, read := w.Type, w.Read
	var wide []byte
	w.Type = device.BF16
	w.Read = func(dst []byte, row, n int) error {
		elements := len(dst) / 2
		wide = slices.Grow(wide[:0], elements*from.Size())[:elements*from.Size()]
		if err := read(wide, row, n); err != nil {
			return err
		}
		for i := range elements {
			binary.LittleEndian.PutUint16(dst[2*i:], half.ToBF16(float32Of(from, wide[i*from.Size():])))
		}
		return nil
	}
	return w
}

// float32Of is the first element of raw.
func float32Of(t device.Type, raw []byte) float32 {
	switch t {
	case device.F64:
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(raw)))
	case device.F16:
		return half.FromF16(binary.LittleEndian.Uint16(raw))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(raw))
}

// HeldType is the type that Place holds a weight in which is stored in the
// given one.
func HeldType(stored device.Type) device.Type {
	if stored.IsBlock() {
		return stored
	}
	return device.BF16
}

// placeable says whether a weight may be of the type.
func placeable(t device.Type) bool {
	switch t {
	case device.F32, device.F64, device.BF16, device.F16:
		return true
	}
	return t.IsBlock()
}
