package safetensors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// bitsandbytesWeight is the weight that testdata/bitsandbytes.json is of:
// the elements and scales of bitsandbytes 0.50.2's quantize_4bit(quant_type="nf4"),
// and of the double quantisation the operators of its default backend in PyTorch
// 2.15, which are the CUDA kernels' arithmetic. 700 blocks whose scales differ,
// in three blocks of scales.
func bitsandbytesWeight() []float32 {
	x := make([]float32, 700*64)
	for i := range x {
		v := uint32(i)*2654435761 + 12345
		v = (v ^ v>>15) * 2246822519
		x[i] = float32((float64(v>>12) - 1<<19) / (1 << 20) * float64(1+i/64%37) / 16)
	}
	return x
}

// Double quantisation gives the codes, the map, the scales of scales and the
// values of bitsandbytes, to the bit.
func TestDoubleQuantisationIsBitsandbytes(t *testing.T) {
	data, err := os.ReadFile("testdata/bitsandbytes.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Codes        []int     `json:"codes"`
		Nested       []float32 `json:"nested"`
		Offset       float32   `json:"offset"`
		Map          []float32 `json:"map"`
		Scales       string    `json:"scales_sha256"`
		Packed       string    `json:"packed_sha256"`
		Values       string    `json:"values_sha256"`
		SingleScales string    `json:"single_scales_sha256"`
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	x := bitsandbytesWeight()
	q := QuantizeNF4(x, []int{350, 128}, F32)
	if got := hashBytes(q.Packed); got != want.Packed {
		t.Errorf("packed elements are %s, want %s", got, want.Packed)
	}
	if got := hashFloat32s(q.AbsMax); got != want.SingleScales {
		t.Errorf("scales are %s, want %s", got, want.SingleScales)
	}
	s := CompressScales(q.AbsMax)
	if !slices.Equal(s.Map[:], want.Map) {
		t.Error("the map differs")
	}
	if s.Offset != want.Offset || !slices.Equal(s.Nested, want.Nested) {
		t.Errorf("offset %v and nested scales %v, want %v and %v", s.Offset, s.Nested, want.Offset, want.Nested)
	}
	for i, c := range s.Codes {
		if int(c) != want.Codes[i] {
			t.Errorf("code %d is %d, want %d", i, c, want.Codes[i])
		}
	}
	q.AbsMax = s.Expand()
	if got := hashFloat32s(q.AbsMax); got != want.Scales {
		t.Errorf("scales of double quantisation are %s, want %s", got, want.Scales)
	}
	values := make([]float32, len(x))
	q.Dequantize(values, 0)
	if got := hashFloat32s(values); got != want.Values {
		t.Errorf("values are %s, want %s", got, want.Values)
	}
}

func hashBytes(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func hashFloat32s(v []float32) string {
	var b bytes.Buffer
	for _, x := range v {
		b.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))
	}
	return hashBytes(b.Bytes())
}
