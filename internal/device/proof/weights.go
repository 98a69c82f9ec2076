package proof

import (
	"encoding/binary"
	"math"

	"align/internal/device"
	"align/internal/half"
)

// frozen draws a placed weight of BF16 or of a type of blocks, of which all bytes are
// valid but for the scales.
func (s *scene) frozen(typ device.Type, rows, cols int) *tensor {
	raw := make([]byte, rows*int(typ.RowBytes(cols)))
	if typ == device.BF16 {
		for i := 0; i < len(raw); i += 2 {
			binary.LittleEndian.PutUint16(raw[i:], half.ToBF16(float32(s.rng.NormFloat64())))
		}
		return s.add(tensor{typ: typ, rows: rows, cols: cols, raw: raw})
	}
	for i := range raw {
		raw[i] = byte(s.rng.Uint32())
	}
	size := typ.BlockSize()
	if size == 1 { // a row
		size = cols
	}
	for bytes, at := int(typ.RowBytes(size)), 0; at < len(raw); at += bytes {
		s.scales(typ, raw[at:at+bytes])
	}
	return s.add(tensor{typ: typ, rows: rows, cols: cols, raw: raw})
}

// scales sets those of a block, so that its elements are of about unit size.
func (s *scene) scales(typ device.Type, block []byte) {
	put := func(at int, about float64) {
		binary.LittleEndian.PutUint16(block[at:], half.ToF16(float32(about*(0.5+s.rng.Float64()))))
	}
	switch typ {
	case device.NF4, device.Int8:
		binary.LittleEndian.PutUint32(block, math.Float32bits(float32(0.5+s.rng.Float64())))
	case device.Q8_0:
		put(0, 1.0/64)
	case device.Q4_0, device.Q5_0:
		put(0, 1.0/8)
	case device.Q4_1, device.Q5_1:
		put(0, 1.0/8)
		put(2, -1)
	case device.Q4_K, device.Q5_K:
		put(0, 1.0/256)
		put(2, 1.0/32)
	case device.Q6_K:
		put(208, 1.0/2048)
	}
}

// weightTypes are all that a frozen weight is held in on a card.
func weightTypes() []device.Type { return append(device.BlockTypes(), device.BF16) }
