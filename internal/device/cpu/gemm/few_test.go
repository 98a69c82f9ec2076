package gemm

import (
	"fmt"
	"math"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// Decoding and the pass over a whole text must agree to the bit: few rows have
// the bits of many, though their product goes another way.
func TestFewRowsHaveTheBitsOfMany(t *testing.T) {
	const many = 40
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		e := engine(t, set, typ, 2)
		for _, k := range []int{32, 544, 2592} {
			for _, bias := range []bool{false, true} {
				form := kind{source: true, bias: bias, accumulate: bias}
				whole := newTrial(t, set, form, many, 70, k)
				whole.p.Alpha = 1
				before := append([]float32(nil), whole.p.Y.Data...)
				run1(t, e, &whole.p)
				for _, m := range []int{1, 2, 7, 16} {
					part := whole.p
					part.M = m
					part.Y.Data = append([]float32(nil), before...)
					run1(t, e, &part)
					for i := range m * part.Y.Stride {
						if got, want := part.Y.Data[i], whole.p.Y.Data[i]; math.Float32bits(got) != math.Float32bits(want) {
							t.Fatalf("%s: element %d is %g, of %d rows %g", fmt.Sprintf("K=%d, %d rows, bias %v", k, m, bias), i, got, many, want)
						}
					}
				}
			}
		}
	})
}
