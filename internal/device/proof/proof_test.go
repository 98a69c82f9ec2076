package proof

import (
	"math"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda/kernels"
)

// Every file of kernels has trials, each of which compares something.
func TestEveryFileHasTrials(t *testing.T) {
	for _, file := range kernels.Names() {
		if files[file] == nil {
			t.Errorf("%s has no trials", file)
			continue
		}
		for i, s := range files[file]() {
			checked := 0
			for _, x := range s.tensors {
				if x.checked {
					checked++
				}
			}
			if checked == 0 {
				t.Errorf("trial %d of %s compares nothing", i, file)
			}
		}
	}
	if err := Run(nil, nil, "none"); err == nil || err.Error() != `kernels "none" have no trials` {
		t.Error(err)
	}
}

// What is off by more than the tolerance, or is no number, fails with its place.
func TestCompare(t *testing.T) {
	s := newScene()
	y := s.out(device.F32, 1, 3, 0)
	s.call("add", nil, list(y), nil)
	want := [][]float64{{1, 2, 4}}
	for _, c := range []struct {
		got  []float64
		at   int
		text string
	}{
		{[]float64{1, 2, 4}, -1, ""},
		{[]float64{1, 2 + 0.9*4*tolerance32, 4}, -1, ""},
		{[]float64{1, 2 + 1.1*4*tolerance32, 4}, 1, `kernels "" come out wrong: add: element 1 of output 0 is 2.00009, want 2`},
		{[]float64{1, 2, math.NaN()}, 2, `kernels "" come out wrong: add: element 2 of output 0 is NaN, want 4`},
		{[]float64{math.Inf(1), 2, 4}, 0, `kernels "" come out wrong: add: element 0 of output 0 is +Inf, want 1`},
	} {
		err := s.compare([][]float64{c.got}, want)
		if (err == nil) != (c.at < 0) || err != nil && (err.Element != c.at || err.Error() != c.text) {
			t.Errorf("%v: %v, want %q", c.got, err, c.text)
		}
	}
}
