package devicetest

import (
	"encoding/binary"
	"math"

	"align/internal/device"
	"align/internal/gguf"
	"align/internal/safetensors"
)

// blockTrials are those of frozen weights whose elements share scales: rows of
// one block and of several, across the borders of larger tiles.
func blockTrials(g *gen) []trial {
	var list []trial
	for i, typ := range device.BlockTypes() {
		unit := max(typ.BlockSize(), 32)
		list = append(list, weightTrials(g, i, 1, g.blocks(typ, 9, unit))...)
		list = append(list, weightTrials(g, i+1, 17, g.blocks(typ, 65, 256/unit*unit+unit))...)
		list = append(list, weightTrials(g, i+2, 4, g.blocks(typ, 19, 768))...)
		w := g.blocks(typ, 17, 3*unit)
		list = append(list, embedTrial(g, w, g.ints(31, 0, w.rows)))
		if typ == device.Q4_0 || typ == device.NF4 { // a head walks over the rows, whatever the type
			head, h, targets := g.blocks(typ, 1030, unit), g.normal(g.act, 5, unit, 0.5), ints(0, -1, 1029, 1024, 7)
			list = append(list, headTrial(g, typ.String(), device.LogProb{}, h, head, targets)...)
		}
	}
	return list
}

// blocks draws a weight of a type of blocks with elements of about unit size:
// any bytes are valid but for the scales.
func (g *gen) blocks(typ device.Type, rows, cols int) tensor {
	x := tensor{typ: typ, rows: rows, cols: cols, raw: make([]byte, rows*int(typ.RowBytes(cols)))}
	for i := range x.raw {
		x.raw[i] = byte(g.rng.Uint32())
	}
	size := typ.BlockSize()
	if typ == device.Int8 {
		size = cols
	}
	bytes := int(typ.RowBytes(size))
	for at := 0; at < len(x.raw); at += bytes {
		g.scales(typ, x.raw[at:at+bytes])
		x.f = append(x.f, blockValues(typ, x.raw[at:at+bytes], size)...)
	}
	return x
}

// scales sets the scales of one block.
func (g *gen) scales(typ device.Type, block []byte) {
	half := func(at int, about float64) {
		binary.LittleEndian.PutUint16(block[at:], halfBits(about*(0.5+g.rng.Float64())))
	}
	switch typ {
	case device.NF4, device.Int8:
		binary.LittleEndian.PutUint32(block, math.Float32bits(float32(0.5+g.rng.Float64())))
	case device.Q8_0:
		half(0, 1.0/64)
	case device.Q4_0, device.Q5_0:
		half(0, 1.0/8)
	case device.Q4_1, device.Q5_1:
		half(0, 1.0/8)
		half(2, -1)
	case device.Q4_K, device.Q5_K:
		half(0, 1.0/256)
		half(2, 1.0/32)
	case device.Q6_K:
		half(208, 1.0/2048)
	}
}

// blockValues are the n elements of a block as the format's own reader has
// them.
func blockValues(typ device.Type, block []byte, n int) []float64 {
	out := make([]float32, n)
	switch typ {
	case device.NF4:
		most := math.Float32frombits(binary.LittleEndian.Uint32(block))
		q := safetensors.NF4{Block: n, Packed: block[4:], AbsMax: []float32{most}}
		q.Dequantize(out, 0)
	case device.Int8:
		step := math.Float32frombits(binary.LittleEndian.Uint32(block)) / 127
		for i := range out {
			out[i] = float32(int8(block[4+i])) * step
		}
	default:
		if err := gguf.Dequantize(ggufTypes[typ], out, block); err != nil {
			panic(err) // the table below is wrong
		}
	}
	wide := make([]float64, n)
	for i, x := range out {
		wide[i] = float64(x)
	}
	return wide
}

var ggufTypes = map[device.Type]gguf.Type{
	device.Q8_0: gguf.Q8_0, device.Q4_0: gguf.Q4_0, device.Q4_1: gguf.Q4_1, device.Q5_0: gguf.Q5_0, device.Q5_1: gguf.Q5_1,
	device.Q4_K: gguf.Q4_K, device.Q5_K: gguf.Q5_K, device.Q6_K: gguf.Q6_K,
}
