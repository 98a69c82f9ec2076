package gguf

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "write testdata/blocks.bin anew with the program named by -oracle")
	oracle = flag.String("oracle", "", "program that converts with ggml; see testdata/README.md")
)

// oracleTypes is the order in which the oracle writes its results.
var oracleTypes = []Type{Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K}

// sampleBlocks returns n blocks of 256 values, block after block from another
// of the distributions that quantisers get wrong.
func sampleBlocks(n int, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 7))
	kinds := []func(i int) float64{
		func(int) float64 { return random.NormFloat64() * 0.02 },             // weights
		func(int) float64 { return random.Float64()*2 - 1 },                  // flat
		func(int) float64 { return random.NormFloat64() / random.Float64() }, // outliers
		func(int) float64 { return math.Abs(random.NormFloat64()) },          // positive
		func(int) float64 { return -math.Abs(random.NormFloat64()) - 1 },     // negative
		func(int) float64 { return float64(random.IntN(5)-2) * 0.25 },        // ties
		func(i int) float64 { return float64(i/32) * 0.125 },                 // constant groups
		func(int) float64 { return random.NormFloat64() * 1e-8 },             // below float16
		func(i int) float64 { return float64(i%97/96) * random.Float64() },   // sparse
		func(int) float64 { return 0 },
		func(int) float64 { return random.NormFloat64() * 1e-17 }, // below ggml's zero
		func(int) float64 { return random.NormFloat64() * 5000 },  // near the top of float16
	}
	x := make([]float32, 256*n)
	for i := range x {
		limit := float64(maxQuantizable)
		x[i] = float32(max(-limit, min(limit, kinds[i/256%len(kinds)](i%256))))
	}
	return x
}

func floatBytes(x []float32) []byte {
	b := make([]byte, 4*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return b
}

// askOracle returns what ggml makes of x: for each type the blocks, then the
// values they stand for.
func askOracle(t *testing.T, x []float32) []byte {
	t.Helper()
	c := exec.Command(*oracle, strconv.Itoa(len(x)))
	c.Stdin = bytes.NewReader(floatBytes(x))
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkOracle compares Quantize and Dequantize with ggml's results, bit for bit.
func checkOracle(t *testing.T, x []float32, want []byte) {
	t.Helper()
	for _, kind := range oracleTypes {
		size := len(x) / kind.BlockSize() * kind.BlockBytes()
		blocks, values := want[:size], want[size:][:4*len(x)]
		want = want[size+4*len(x):]
		got := make([]float32, len(x))
		if err := Dequantize(kind, got, blocks); err != nil {
			t.Fatal(err)
		}
		if at := firstDifference(floatBytes(got), values, 4); at >= 0 {
			t.Errorf("%v: value %d is %g, ggml has another", kind, at, got[at])
		}
		if !CanQuantize(kind) {
			continue
		}
		raw := make([]byte, size)
		if err := Quantize(kind, raw, x); err != nil {
			t.Fatal(err)
		}
		if at := firstDifference(raw, blocks, kind.BlockBytes()); at >= 0 {
			t.Errorf("%v: block %d differs from ggml's", kind, at)
		}
	}
	if len(want) != 0 {
		t.Errorf("%d bytes of the oracle are left", len(want))
	}
}

// firstDifference returns the number of the first unit bytes that differ, or -1.
func firstDifference(a, b []byte, unit int) int {
	for i := range a {
		if a[i] != b[i] {
			return i / unit
		}
	}
	return -1
}

// Blocks and values equal ggml's bit for bit.
func TestBlocksEqualGGML(t *testing.T) {
	const blocks = 12 // each distribution once
	path := filepath.Join("testdata", "blocks.bin")
	x := sampleBlocks(blocks, 1)
	if *update {
		if err := os.WriteFile(path, append(floatBytes(x), askOracle(t, x)...), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The values are read back rather than drawn again: math functions may
	// differ in the last bit between machines.
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(golden[4*i:]))
	}
	checkOracle(t, x, golden[4*len(x):])
}

// The same over many more values, where the oracle is at hand.
func TestBlocksEqualGGMLAtLength(t *testing.T) {
	if *oracle == "" {
		t.Skip("needs -oracle, a program built from ggml")
	}
	for seed := range uint64(20) {
		x := sampleBlocks(1200, 100+seed)
		checkOracle(t, x, askOracle(t, x))
	}
}

// Plain formats round to nearest and come back exactly.
func TestPlainFormats(t *testing.T) {
	x := []float32{0, 1, -2.5, 65504, 0x1p-24, 0x1p-14, 1 + 1.0/2048, 1 + 3.0/2048}
	want := map[Type][]float32{
		F32:  x,
		F16:  {0, 1, -2.5, 65504, 0x1p-24, 0x1p-14, 1, 1 + 4.0/2048},
		BF16: {0, 1, -2.5, 65536, 0x1p-24, 0x1p-14, 1, 1},
	}
	for kind, w := range want {
		raw := make([]byte, len(x)*kind.BlockBytes())
		if err := Quantize(kind, raw, x); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(x))
		if err := Dequantize(kind, got, raw); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i] != w[i] {
				t.Errorf("%v of %g: got %g, want %g", kind, x[i], got[i], w[i])
			}
		}
	}
}

// The relative error of normal weights stays at what the formats are known
// for, a check that does not depend on the oracle.
func TestQuantizationError(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, 256*64)
	for i := range x {
		x[i] = float32(random.NormFloat64() * 0.02)
	}
	// Root mean square error over that of the values; measured 0.0054, 0.0864,
	// 0.0716 and 0.0178, with a tenth of room.
	for kind, limit := range map[Type]float64{Q8_0: 0.006, Q4_0: 0.095, Q4_K: 0.079, Q6_K: 0.0196} {
		raw := make([]byte, len(x)/kind.BlockSize()*kind.BlockBytes())
		if err := Quantize(kind, raw, x); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(x))
		if err := Dequantize(kind, got, raw); err != nil {
			t.Fatal(err)
		}
		var errs, sum float64
		for i := range x {
			errs += math.Pow(float64(got[i]-x[i]), 2)
			sum += math.Pow(float64(x[i]), 2)
		}
		if e := math.Sqrt(errs / sum); e > limit {
			t.Errorf("%v: relative error %.4f, want at most %.4f", kind, e, limit)
		}
	}
}

func TestConversionRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"type in", Dequantize(I32, make([]float32, 1), make([]byte, 4)), "I32 cannot be converted"},
		{"unknown type", Dequantize(99, make([]float32, 1), make([]byte, 4)), "type 99 cannot be converted"},
		{"type out", Quantize(Q5_K, make([]byte, 176), make([]float32, 256)), "cannot be converted to Q5_K"},
		{"part of a block", Dequantize(Q8_0, make([]float32, 33), make([]byte, 34)), "33 elements are not a multiple of the 32"},
		{"short source", Dequantize(Q4_K, make([]float32, 256), make([]byte, 143)), "are 144 bytes, got 143"},
		{"short buffer", Quantize(Q8_0, make([]byte, 33), make([]float32, 32)), "are 34 bytes, got 33"},
		{"NaN", Quantize(F16, make([]byte, 4), []float32{0, nan}), "element 1 is NaN"},
		{"infinity", Quantize(F16, make([]byte, 2), []float32{inf}), "element 0 is -Inf"},
		{"too large", Quantize(F16, make([]byte, 2), []float32{65505}), "values up to 65504"},
	}
	for _, tt := range tests {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, tt.err, tt.want)
		}
	}
	if err := Quantize(BF16, make([]byte, 4), []float32{nan, inf}); err != nil {
		t.Errorf("bfloat16 holds NaN and infinities: %v", err)
	}
}

func BenchmarkDequantize(b *testing.B) {
	x := sampleBlocks(64, 1)
	for _, kind := range append(oracleTypes, BF16, F16) {
		raw := make([]byte, len(x)/kind.BlockSize()*kind.BlockBytes())
		b.Run("type="+kind.String(), func(b *testing.B) {
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				if err := Dequantize(kind, x, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
