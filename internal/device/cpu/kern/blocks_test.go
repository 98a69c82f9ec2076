package kern

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"align/internal/device/cpu/feature"
	"align/internal/gguf"
)

// blockCase is one format: its elements and bytes a block, and who decodes it.
type blockCase struct {
	name            string
	elements, bytes int
	run             func(s *Set, dst []float32, src []byte)
	reader          gguf.Type // of package gguf; F32 where the format is not of GGUF
}

func blockCases() []blockCase {
	return []blockCase{
		{"Q8_0", 32, q8Bytes, (*Set).Q8_0, gguf.Q8_0},
		{"Q4_0", 32, q4Bytes, (*Set).Q4_0, gguf.Q4_0},
		{"Q4_K", 256, q4KBytes, (*Set).Q4_K, gguf.Q4_K},
		{"Q6_K", 256, q6KBytes, (*Set).Q6_K, gguf.Q6_K},
		{"NF4", 64, nf4Bytes, (*Set).NF4, gguf.F32},
		{"Int8", 37, 37, func(s *Set, dst []float32, src []byte) { s.Bytes(dst, src, 0.0123) }, gguf.F32},
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

func TestBlocksHaveTheReadersBits(t *testing.T) {
	twin := generic()
	forEachLevel(t, func(t *testing.T, s *Set) {
		for _, c := range blockCases() {
			for _, n := range []int{0, 1, 2, 5} {
				src := randomBlocks(n * c.bytes)
				want, got := make([]float32, n*c.elements), newGuarded(make([]float32, n*c.elements))
				c.run(twin, want, src)
				c.run(s, got.slice(), src)
				what := fmt.Sprintf("%s, %d blocks", c.name, n)
				got.check(t, what)
				sameBits(t, what, got.slice(), want)
				if c.reader != gguf.F32 {
					if err := gguf.Dequantize(c.reader, want, src); err != nil {
						t.Fatal(err)
					}
					sameBits(t, what+", the format's reader", got.slice(), want)
				}
			}
		}
	})
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// BenchmarkBlocks decodes into the first caches.
func BenchmarkBlocks(b *testing.B) {
	const elements = 4096
	for _, c := range blockCases() {
		n := elements / c.elements
		src, dst := randomBlocks(n*c.bytes), make([]float32, n*c.elements)
		for _, level := range []feature.Level{feature.Generic, feature.AVX2, feature.AVX512} {
			if level > feature.Detect() {
				continue
			}
			b.Run(fmt.Sprintf("impl=%s/type=%s", level, c.name), func(b *testing.B) {
				s := New(level)
				for b.Loop() {
					c.run(s, dst, src)
				}
				b.ReportMetric(float64(len(dst))*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelement/s")
			})
		}
	}
}
