package dpo

import (
	"math"
	"testing"
)

// A line of the cache is a pair's finite log-probabilities or is left out.
func FuzzCached(f *testing.F) {
	key := "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for _, s := range []string{key + "\t-1.5\t-2\n", key + "\t-1.5\t-2", key + "\tNaN\tInf\n", key + "\t0x1p-2\t1e400\n", "\t\t\n", key + "\t3\t-2\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		_, ref, ok := parseCached(line)
		for _, x := range []float64{ref.Chosen, ref.Rejected} {
			if ok && (math.IsNaN(x) || math.IsInf(x, 0) || x > 1) {
				t.Errorf("%q is %v", line, ref)
			}
		}
	})
}
