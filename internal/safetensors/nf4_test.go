package safetensors

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func normal(n int, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(random.NormFloat64() * 0.02)
	}
	return x
}

// The codes come back as themselves, in the order high half, low half.
func TestNF4Codes(t *testing.T) {
	code := NF4Code()
	q := QuantizeNF4(code[:], []int{16}, BF16)
	want := []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	if !bytes.Equal(q.Packed, want) || q.AbsMax[0] != 1 {
		t.Errorf("got %x, %v, want %x", q.Packed, q.AbsMax, want)
	}
	got := make([]float32, 16)
	q.Dequantize(got, 0)
	if !slices.Equal(got, code[:]) {
		t.Errorf("got %v, want %v", got, code)
	}
}

// A threshold itself takes the lower code, the next float32 the upper one, and
// each threshold lies between its codes.
func TestNF4Thresholds(t *testing.T) {
	code, threshold, codes := NF4Code(), nf4Threshold(), newNF4Codes()
	for i, v := range threshold {
		if got := codes.of(v); got != byte(i) {
			t.Errorf("%g: got %d, want %d", v, got, i)
		}
		if got := codes.of(math.Nextafter32(v, 2)); got != byte(i+1) {
			t.Errorf("above %g: got %d, want %d", v, got, i+1)
		}
		if middle := (code[i] + code[i+1]) / 2; math.Abs(float64(v-middle)) > 1e-7 {
			t.Errorf("threshold %d is %g, the middle of its codes %g", i, v, middle)
		}
	}
}

// Every element is the nearest of the sixteen values of its block, a block of
// zeros stays zero, and a part can be read alone.
func TestNF4Nearest(t *testing.T) {
	x := append(normal(1000, 1), make([]float32, 129)...) // an odd number, a last block of 41
	q := QuantizeNF4(x, []int{len(x)}, F32)
	got := make([]float32, len(x))
	q.Dequantize(got, 0)
	code := NF4Code()
	for i := range x {
		scale := q.AbsMax[i/NF4Block]
		for _, c := range code {
			// One part in 10^6 of the scale covers the rounding of x/scale.
			if math.Abs(float64(c*scale-x[i])) < math.Abs(float64(got[i]-x[i]))-1e-6*float64(scale) {
				t.Fatalf("element %d: %g became %g, %g is nearer", i, x[i], got[i], c*scale)
			}
		}
	}
	part := make([]float32, 77)
	q.Dequantize(part, 333)
	if !slices.Equal(part, got[333:410]) {
		t.Error("a part differs from the whole")
	}
}

// The map has the published form: 256 rising values, symmetric but for 1.
func TestDynamicMap(t *testing.T) {
	m := dynamicMap()
	if !slices.IsSorted(m[:]) || m[255] != 1 || m[127] != 0 || math.Abs(float64(m[128])-5.5e-7) > 1e-13 {
		t.Errorf("got ends %g and %g, middle %g and %g", m[0], m[255], m[127], m[128])
	}
	for i := range 127 {
		if m[i] != -m[254-i] {
			t.Errorf("entries %d and %d are %g and %g", i, 254-i, m[i], m[254-i])
		}
	}
	if want := float32(-0.99296875); math.Abs(float64(m[0]-want)) > 1e-7 { // middle of the last of 64 parts
		t.Errorf("first is %g, want %g", m[0], want)
	}
}

func TestScales(t *testing.T) {
	absMax := make([]float32, 1000)
	for i, v := range normal(1000, 2) {
		absMax[i] = 0.05 + v/10
	}
	s := CompressScales(absMax)
	for i, got := range s.Expand() {
		// The steps of the map are widest at its ends: 0.9/64 of the nested scale.
		if limit := s.Nested[i/scaleBlock] * 0.9 / 64; math.Abs(float64(got-absMax[i])) > float64(limit) {
			t.Errorf("scale %d: got %g, want %g within %g", i, got, absMax[i], limit)
		}
	}
	if len(s.Nested) != 4 || len(s.Codes) != 1000 {
		t.Errorf("got %d codes, %d nested", len(s.Codes), len(s.Nested))
	}
	flat := CompressScales([]float32{0.5, 0.5})
	if got := flat.Expand(); got[0] != 0.5 || got[1] != 0.5 {
		t.Errorf("equal scales: got %v", got)
	}
}

// stored is a weight as bitsandbytes stores it.
func stored(q NF4, s *Scales, state string) []Tensor {
	code := NF4Code()
	tensors := []Tensor{
		FromBytes("w", U8, []int{len(q.Packed), 1}, q.Packed),
		FromFloats("w.quant_map", F32, []int{16}, code[:]),
		FromBytes("w.quant_state.bitsandbytes__nf4", U8, []int{len(state)}, []byte(state)),
	}
	if s == nil {
		return append(tensors, FromFloats("w.absmax", F32, []int{len(q.AbsMax)}, q.AbsMax))
	}
	return append(tensors,
		FromBytes("w.absmax", U8, []int{len(s.Codes)}, s.Codes),
		FromFloats("w.nested_absmax", F32, []int{len(s.Nested)}, s.Nested),
		FromFloats("w.nested_quant_map", F32, []int{256}, s.Map[:]))
}

const (
	plainState  = `{"quant_type":"nf4","blocksize":64,"dtype":"bfloat16","shape":[40,50]}`
	doubleState = `{"quant_type":"nf4","blocksize":64,"dtype":"bfloat16","shape":[40,50],"nested_blocksize":256,"nested_dtype":"float32","nested_offset":0.0}`
)

func TestReadNF4(t *testing.T) {
	q := QuantizeNF4(normal(2000, 3), []int{40, 50}, BF16)
	s := CompressScales(q.AbsMax)
	s.Offset = 0
	for name, tensors := range map[string][]Tensor{"plain": stored(q, nil, plainState), "double": stored(q, &s, doubleState)} {
		raw := encode(t, tensors, nil)
		f, err := New(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if !HasNF4(f, "w") || HasNF4(f, "v") {
			t.Errorf("%s: HasNF4 is wrong", name)
		}
		got, err := ReadNF4(f, "w")
		if err != nil {
			t.Fatal(err)
		}
		want := q.AbsMax
		if name == "double" {
			want = s.Expand()
		}
		if !bytes.Equal(got.Packed, q.Packed) || !slices.Equal(got.AbsMax, want) || got.DType != BF16 || !slices.Equal(got.Shape, q.Shape) {
			t.Errorf("%s: the weight differs", name)
		}
	}
}

func TestReadNF4Refuses(t *testing.T) {
	q := QuantizeNF4(normal(2000, 3), []int{40, 50}, BF16)
	s := CompressScales(q.AbsMax)
	replace := func(old, new string) string { return strings.Replace(doubleState, old, new, 1) }
	drop := func(name string) []Tensor {
		return slices.DeleteFunc(stored(q, &s, doubleState), func(t Tensor) bool { return t.Name == name })
	}
	tests := []struct {
		name    string
		tensors []Tensor
		want    string
	}{
		{"no state", drop("w.quant_state.bitsandbytes__nf4"), "no tensor"},
		{"no weight", drop("w"), `no tensor "w"`},
		{"no scales", drop("w.absmax"), `no tensor "w.absmax"`},
		{"no nested scales", drop("w.nested_absmax"), `no tensor "w.nested_absmax"`},
		{"fp4", stored(q, &s, replace(`"nf4"`, `"fp4"`)), `quant_type is "fp4"`},
		{"zero block", stored(q, &s, replace(`"blocksize":64`, `"blocksize":0`)), "blocksize is 0"},
		{"other block", stored(q, &s, replace(`"blocksize":64`, `"blocksize":128`)), "want 16 elements"},
		{"other shape", stored(q, &s, replace("[40,50]", "[40,51]")), "want 1020 elements"},
		{"shape overflows", stored(q, &s, replace("[40,50]", "[4294967296,4294967296]")), "overflows"},
		{"negative shape", stored(q, &s, replace("[40,50]", "[-40,50]")), "negative"},
		{"integers", stored(q, &s, replace("bfloat16", "int8")), `dtype "int8"`},
		{"no nested block", stored(q, &s, replace("256", "0")), "nested_blocksize 0"},
		{"negative nested block", stored(q, &s, replace("256", "-1")), "nested_blocksize is -1"},
		{"not JSON", stored(q, &s, "{"), "state:"},
	}
	for _, tt := range tests {
		raw := encode(t, tt.tensors, nil)
		f, err := New(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadNF4(f, "w"); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"w"`) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// Every number near an edge of a bin, and many between, has the code that
// counting thresholds gives.
func TestNF4CodesCountThresholds(t *testing.T) {
	codes := newNF4Codes()
	check := func(x float32) {
		want := byte(0)
		for _, threshold := range nf4Threshold() {
			if x > threshold {
				want++
			}
		}
		if got := codes.of(x); got != want {
			t.Errorf("%v has code %d, want %d", x, got, want)
		}
	}
	for bin := range nf4Bins + 1 {
		edge := float32(bin)/(nf4Bins/2) - 1
		for down, up, i := edge, edge, 0; i < 1000; i++ {
			check(down)
			check(up)
			down, up = math.Nextafter32(down, -2), math.Nextafter32(up, 2)
		}
	}
	for x := float32(-1.01); x < 1.01; x += 1e-5 {
		check(x)
	}
}

func BenchmarkQuantizeNF4(b *testing.B) {
	x := make([]float32, 4096)
	for i := range x {
		x[i] = float32(math.Sin(float64(i * i)))
	}
	b.SetBytes(4096)
	for b.Loop() {
		QuantizeNF4(x, nil, F32)
	}
}
