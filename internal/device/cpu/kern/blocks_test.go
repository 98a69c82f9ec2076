package kern

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"align/internal/device/cpu/feature"
	"align/internal/gguf"
	"align/internal/host"
)

// blockCase is one format: its elements and bytes a block, and who decodes it.
type blockCase struct {
	name            string
	elements, bytes int
	decoder         func(d *Decoders) Decode
	reader          gguf.Type // of package gguf; F32 where the format is not of GGUF
}

func blockCases() []blockCase {
	return []blockCase{
		{"Q8_0", 32, q8Bytes, func(d *Decoders) Decode { return d.Q8_0 }, gguf.Q8_0},
		{"Q4_0", 32, q4Bytes, func(d *Decoders) Decode { return d.Q4_0 }, gguf.Q4_0},
		{"Q4_K", 256, q4KBytes, func(d *Decoders) Decode { return d.Q4_K }, gguf.Q4_K},
		{"Q6_K", 256, q6KBytes, func(d *Decoders) Decode { return d.Q6_K }, gguf.Q6_K},
		{"NF4", 64, nf4Bytes, func(d *Decoders) Decode { return d.NF4 }, gguf.F32},
		{"Int8", int8Group, int8Group, func(d *Decoders) Decode { return d.Int8 }, gguf.F32},
	}
}

// randomBlocks is bytes whose scales are finite: no exponent of all ones.
func randomBlocks(n int) []byte {
	source := rand.New(rand.NewPCG(7, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(source.IntN(256)) &^ 0x40
	}
	return b
}

// blockBack is where the scales of Int8 lie before a row.
const blockBack = 4

func TestBlocksHaveTheReadersBits(t *testing.T) {
	twin := generic()
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, c := range blockCases() {
			for _, shape := range [][2]int{{1, 1}, {2, 1}, {5, 3}, {1, 16}} {
				n, rows := shape[0], shape[1]
				what := fmt.Sprintf("%s, %d rows of %d blocks", c.name, rows, n)
				step := blockBack + n*c.bytes + 3 // rows need not be aligned
				src := randomBlocks(rows * step)
				width := n * c.elements
				decode := func(s *Set, to []float32) {
					c.decoder(&s.Floats)(pointer(to), unsafe.Pointer(&src[blockBack]), n, rows, 4*width, step, 64, blockBack)
				}
				want, got := make([]float32, rows*width), newGuarded(make([]float32, rows*width))
				decode(twin, want)
				decode(s, got.slice())
				got.check(t, what)
				sameBits(t, what, got.slice(), want)
				checkHalves(t, what, s, c.decoder(&s.Halves), want, src, n, rows, step)
				if c.reader != gguf.F32 {
					for i := range rows {
						if err := gguf.Dequantize(c.reader, want[:width], src[i*step+blockBack:][:n*c.bytes]); err != nil {
							t.Fatal(err)
						}
						sameBits(t, what+", the format's reader", got.slice()[i*width:][:width], want[:width])
					}
				}
			}
		}
	})
}

// checkHalves decodes to bfloat16, which is the level's rounding of want.
func checkHalves(t *testing.T, what string, s *Set, decode Decode, want []float32, src []byte, n, rows, step int) {
	t.Helper()
	const gap = 0xbeef
	all := make([]uint16, len(want)+64)
	for i := range all {
		all[i] = gap
	}
	got := all[32:][:len(want)]
	decode(pointer(got), unsafe.Pointer(&src[blockBack]), n, rows, 2*len(want)/rows, step, 64, blockBack)
	rounded := make([]uint16, len(want))
	s.ToBF16(rounded, want)
	for i := range got {
		if got[i] != rounded[i] {
			t.Fatalf("%s: element %d is bfloat16 %#x, want %#x of %g", what, i, got[i], rounded[i], want[i])
		}
	}
	for i := range 32 {
		if all[i] != gap || all[32+len(want)+i] != gap {
			t.Fatalf("%s: a write outside the array", what)
		}
	}
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

func TestJoin(t *testing.T) {
	twin := generic()
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, n := range []int{1, 2, 5, 32} {
			src := make([]uint16, n*(Cols+8))
			for i := range src {
				src[i] = uint16(i * 77)
			}
			size := (n + 1) / 2 * Cols
			want, got := newGuarded(make([]float32, size)), newGuarded(make([]float32, size))
			twin.Join(pointer(want.slice()), pointer(src), n, 2*(Cols+8), Stride)
			s.Join(pointer(got.slice()), pointer(src), n, 2*(Cols+8), Stride)
			got.check(t, "join")
			sameBits(t, fmt.Sprintf("join of %d rows", n), got.slice(), want.slice())
		}
	})
}

// BenchmarkBlocks decodes into the first caches.
func BenchmarkBlocks(b *testing.B) {
	const elements = 4096
	for _, c := range blockCases() {
		n := elements / c.elements
		src, dst := randomBlocks(blockBack+n*c.bytes), make([]float32, n*c.elements)
		for _, level := range []feature.Level{feature.Generic, feature.AVX2, feature.AVX512, feature.AVX512BF16} {
			if !feature.Has(level) {
				continue
			}
			b.Run(fmt.Sprintf("impl=%s/type=%s", level, c.name), func(b *testing.B) {
				s := New(level)
				decode := c.decoder(&s.Floats)
				if level == feature.AVX512BF16 {
					decode = c.decoder(&s.Halves)
				}
				start := host.ProcessorTime() // other work on the machine is none of its concern
				for b.Loop() {
					decode(pointer(dst), unsafe.Pointer(&src[blockBack]), n, 1, 0, 0, 0, blockBack)
				}
				b.ReportMetric(float64(len(dst))*float64(b.N)/(host.ProcessorTime()-start).Seconds()/1e9, "elements/ns")
			})
		}
	}
}
