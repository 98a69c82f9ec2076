package devicetest

import (
	"bytes"
	"math"
	"testing"

	"align/internal/device"
)

// checkDropout holds the draws to what can be said of any generator: kept
// elements are scaled, the rate is P, and every part of the key matters; and to the
// draws of device.Dropout, element by element.
func checkDropout(t *testing.T, b device.Backend, act device.Type) {
	const rows, cols, p = 64, 501, 0.3
	ones := make([]float64, rows*cols)
	for i := range ones {
		ones[i] = 1
	}
	keys := make([]int, rows)
	for i := range keys {
		keys[i] = i / 2 // pairs of rows with one key
	}
	attr := device.Dropout{P: p, Stream: 1}
	draw := func(stream uint32, seed ...int) []byte {
		r := makeTrial("dropout", "draws", device.Dropout{P: p, Stream: stream},
			[]tensor{newTensor(act, rows, cols, ones), ints(keys...), ints(seed...)}, []tensor{empty(act, rows, cols)}, nil)
		return r.run(t, b, options{skip: -1})[0]
	}
	base := draw(1, 2, 3)
	kept, scale := 0, newTensor(act, 1, 1, []float64{attr.Scale()}).f[0]
	values := decode(act, base)
	for i, v := range values {
		switch v {
		case 0:
		case scale:
			kept++
		default:
			t.Fatalf("element %d is %v, want 0 or %v", i, v, scale)
		}
		if row, col := i/cols, i%cols; (v != 0) != isKept(attr, [2]uint32{2, 3}, uint32(keys[row]), col) {
			t.Fatalf("row %d, column %d is %v: the definition has it otherwise", row, col, v)
		}
	}
	// Half the rows repeat the others, so n/2 draws: six standard deviations.
	n := float64(rows * cols / 2)
	if rate := float64(kept) / (2 * n); math.Abs(rate-(1-p)) > 6*math.Sqrt(p*(1-p)/n) {
		t.Errorf("kept %.4f of the elements, want about %.2f", rate, 1-p)
	}
	width := cols * act.Size()
	if !bytes.Equal(base[:width], base[width:2*width]) {
		t.Error("rows of one key differ")
	}
	if bytes.Equal(base[:width], base[2*width:3*width]) {
		t.Error("rows of different keys are equal")
	}
	for name, other := range map[string][]byte{"stream": draw(2, 2, 3), "seed[0]": draw(1, 4, 3), "seed[1]": draw(1, 2, 4)} {
		if bytes.Equal(base, other) {
			t.Errorf("%s does not change the draws", name)
		}
	}
	if !bytes.Equal(base, draw(1, 2, 3)) {
		t.Error("the same key gives different draws")
	}
}
