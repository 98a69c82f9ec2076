package model

import (
	"encoding/binary"
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/safetensors"
)

// The rows of a device's NF4 and Int8 weights (package device, block.go), from
// and to what bitsandbytes stores.

const (
	nf4Block = safetensors.NF4Block
	nf4Bytes = 4 + nf4Block/2
)

// nf4 reads a weight that bitsandbytes quantised. Its blocks lie end to end over
// the whole tensor; where they are not whole blocks of each row, the weight is
// widened to the type it had.
func (s folderSource) nf4(w weightInfo) (stored, error) {
	q, err := safetensors.ReadNF4(s, w.name)
	if err != nil {
		return stored{}, err
	}
	if err := w.fits(q.Shape); err != nil {
		return stored{}, err
	}
	t := stored{typ: device.NF4}
	t.rows, t.cols = w.shape()
	if q.Block != nf4Block || t.cols%nf4Block != 0 {
		return widenedNF4(&q, t)
	}
	width, blocks := t.rowBytes(), t.cols/nf4Block
	t.read = func(dst []byte, row, n int) error {
		for i := range n * blocks {
			at := row*blocks + i
			putNF4(dst[i/blocks*width+i%blocks*nf4Bytes:], q.AbsMax[at], q.Packed[at*nf4Block/2:])
		}
		return nil
	}
	return t, nil
}

// widenedNF4 rounds the values to the tensor's former type, as bitsandbytes
// does.
func widenedNF4(q *safetensors.NF4, t stored) (stored, error) {
	typ, ok := elementTypes[q.DType]
	if !ok {
		return stored{}, fmt.Errorf("NF4 weight of type %v", q.DType)
	}
	t.typ = typ
	t.read = func(dst []byte, row, n int) error {
		values := make([]float32, n*t.cols)
		q.Dequantize(values, row*t.cols)
		return safetensors.FromFloat32(dst[:n*t.rowBytes()], values, q.DType)
	}
	return t, nil
}

// putNF4 writes one block.
func putNF4(dst []byte, absMax float32, packed []byte) {
	binary.LittleEndian.PutUint32(dst, math.Float32bits(absMax))
	copy(dst[4:nf4Bytes], packed)
}

func nf4Floats(dst []float32, row []byte) {
	for at := 0; at < len(dst); at += nf4Block {
		block := row[at/nf4Block*nf4Bytes:]
		absMax := math.Float32frombits(binary.LittleEndian.Uint32(block))
		q := safetensors.NF4{Block: nf4Block, Packed: block[4:nf4Bytes], AbsMax: []float32{absMax}}
		q.Dequantize(dst[at:at+nf4Block], 0)
	}
}

func int8Floats(dst []float32, row []byte) {
	step := math.Float32frombits(binary.LittleEndian.Uint32(row)) / 127
	for i := range dst {
		dst[i] = float32(int8(row[4+i])) * step
	}
}

// putInt8 writes a row: q = round(127*x/most), to nearest, ties to even.
func putInt8(dst []byte, x []float32) {
	most := float32(0)
	for _, v := range x {
		most = max(most, v, -v)
	}
	binary.LittleEndian.PutUint32(dst, math.Float32bits(most))
	for i, v := range x {
		q := 0.0
		if most > 0 {
			q = math.RoundToEven(127 * float64(v) / float64(most))
		}
		dst[4+i] = byte(int8(q))
	}
}
