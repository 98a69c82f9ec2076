package safetensors

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	values := []float32{0, 1, -2.5, 0.15625, 1024}
	for _, d := range []DType{F32, F16, BF16, F64} {
		raw := make([]byte, len(values)*d.Bits()/8)
		if err := FromFloat32(raw, values, d); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(values))
		if err := ToFloat32(got, raw, d); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i] != values[i] {
				t.Errorf("%s: got %g, want %g", d, got[i], values[i])
			}
		}
	}
	if err := ToFloat32(make([]float32, 2), make([]byte, 7), F32); err == nil || !strings.Contains(err.Error(), "are 8 bytes, got 7") {
		t.Errorf("got %v", err)
	}
	if err := ToFloat32(make([]float32, 2), make([]byte, 8), I32); err == nil || !strings.Contains(err.Error(), "does not convert") {
		t.Errorf("got %v", err)
	}
	raw := binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1))
	one := make([]float32, 1)
	if ToFloat32(one, raw, F64); one[0] != 0.1 {
		t.Errorf("F64: got %g, want 0.1", one[0])
	}
}
