//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/gguf"
	"align/internal/safetensors"
)

// blocks are random bytes of a type with scales that are numbers, and what the
// format's own reader makes of them.
func blocks(t *testing.T, typ device.Type, rows, cols int) (raw []byte, values []float32) {
	t.Helper()
	rng := random(uint64(typ))
	width := int(typ.RowBytes(cols))
	size := typ.BlockSize()
	if typ == device.Int8 {
		size = cols
	}
	step := int(typ.RowBytes(size))
	for range rows * width / step {
		block := make([]byte, step)
		for i := range block {
			block[i] = byte(rng.Uint32())
		}
		half := func(at int) {
			binary.LittleEndian.PutUint16(block[at:], uint16(0x2000+rng.IntN(0x800))|uint16(rng.IntN(2))<<15)
		}
		switch typ {
		case device.NF4, device.Int8:
			binary.LittleEndian.PutUint32(block, math.Float32bits(0.5+rng.Float32()))
		case device.Q6_K:
			half(208)
		case device.Q4_1, device.Q5_1, device.Q4_K, device.Q5_K:
			half(0)
			half(2)
		default:
			half(0)
		}
		raw = append(raw, block...)
		values = append(values, decoded(t, typ, block, size)...)
	}
	return raw, values
}

func decoded(t *testing.T, typ device.Type, block []byte, n int) []float32 {
	t.Helper()
	out := make([]float32, n)
	switch typ {
	case device.NF4:
		q := safetensors.NF4{Block: n, Packed: block[4:], AbsMax: []float32{math.Float32frombits(binary.LittleEndian.Uint32(block))}}
		q.Dequantize(out, 0)
		return out
	case device.Int8:
		step := math.Float32frombits(binary.LittleEndian.Uint32(block)) / 127
		for i := range out {
			out[i] = float32(int8(block[4+i])) * step
		}
		return out
	}
	stored := map[device.Type]gguf.Type{
		device.Q8_0: gguf.Q8_0, device.Q4_0: gguf.Q4_0, device.Q4_1: gguf.Q4_1, device.Q5_0: gguf.Q5_0, device.Q5_1: gguf.Q5_1,
		device.Q4_K: gguf.Q4_K, device.Q5_K: gguf.Q5_K, device.Q6_K: gguf.Q6_K,
	}
	if err := gguf.Dequantize(stored[typ], out, block); err != nil {
		t.Fatal(err)
	}
	return out
}

// Widened blocks are the reader's values rounded to bf16, bit for bit, and what
// lies past the last column is 0.
func TestWidenedBlocksAreTheReadersBitForBit(t *testing.T) {
	const rows = 3
	for _, typ := range device.BlockTypes() {
		cols := 2 * max(typ.BlockSize(), 32)
		if typ == device.Int8 {
			cols = 53
		}
		raw, values := blocks(t, typ, rows, cols)
		ld := ceil(cols, 8) * 8
		want := make([]uint16, rows*ld)
		for i, v := range values {
			want[i/cols*ld+i%cols] = toBF16(v)
		}
		c := cudatest.Open(t)
		y := cudatest.Alloc[uint16](t, c, rows*ld)
		c.Run(t, ptxOf(t, "weights"), "widen_"+typ.String(), line(1), line(256), 0, driver.Ptr(y), driver.Ptr(cudatest.Upload(t, c, raw)),
			integer(rows), integer(cols), integer(ld), driver.U64(uint64(typ.RowBytes(cols))))
		if got := cudatest.Download[uint16](t, c, y, rows*ld); !slices.Equal(got, want) {
			t.Errorf("%s: %x: want %x", typ, got, want)
		}
	}
}

// gemv on blocks has the bits of gemv on the widened weight.
func TestGemvReadsBlocks(t *testing.T) {
	for _, typ := range device.BlockTypes() {
		gemvReads(t, typ, "gemv", 5)
		gemvReads(t, typ, "gemv16", 13)
		gemvReads(t, typ, "gemv_narrow", 5)
	}
}

func gemvReads(t *testing.T, typ device.Type, file string, m int) {
	t.Helper()
	const n = 19
	k := 768 // whole blocks of every type, and more than the warps of a block have at a time
	if typ == device.Int8 {
		k = 533
	}
	raw, values := blocks(t, typ, n, k)
	wide := newMatrix(random(1), n, k)
	for i, v := range values {
		wide.raw[i/k*wide.ld+i%k] = toBF16(v)
	}
	x := newMatrix(random(2), m, k)
	c := cudatest.Open(t)
	run := func(entry string, w driver.Arg, stride int64) []float32 {
		y := cudatest.Alloc[float32](t, c, m*n)
		none := driver.U64(0)
		args := []driver.Arg{
			driver.Ptr(y), driver.Ptr(cudatest.Upload(t, c, x.raw)), w, none, none, none,
			integer(x.ld), driver.U64(uint64(stride)), integer(8), integer(n), integer(m), integer(n), integer(k), integer(0), driver.F32(1), integer(0),
		}
		blocks := ceil(n, 8)
		if file != "gemv_narrow" {
			args, blocks = append(args, integer(k)), 1 // one part
		}
		c.Run(t, ptxOf(t, file), entry, line(blocks), line(128), 0, append(args, integer(int(device.F32)))...)
		return cudatest.Download[float32](t, c, y, m*n)
	}
	want := run(file+"_bf16", driver.Ptr(cudatest.Upload(t, c, wide.raw)), int64(2*wide.ld))
	if got := run(file+"_"+typ.String(), driver.Ptr(cudatest.Upload(t, c, raw)), typ.RowBytes(k)); !slices.Equal(got, want) {
		t.Errorf("%s of %s: the bits differ by %g", file, typ, distance(widened(got), widened(want)))
	}
}
