package exec

import (
	"errors"
	"testing"
)

// fakeCapturer counts captures and refuses them where it has an error.
type fakeCapturer struct {
	captures, replays int
	refuses           error
}

func (c *fakeCapturer) Capture(f func() error) (func() error, error) {
	c.captures++
	if c.refuses != nil {
		return nil, c.refuses
	}
	return func() error { c.replays++; return nil }, nil
}

func TestSizesThatComeAgainAreCaptured(t *testing.T) {
	for _, tc := range []struct {
		name                    string
		refuses                 error
		runs, captures, replays int
	}{
		{"captured", nil, 2, 1, 3},
		{"refused", errors.New("not in a capture"), 5, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			runs, c := 0, &fakeCapturer{refuses: tc.refuses}
			pr := &Program{run: func() error { runs++; return nil }}
			pr.graphs = &graphs{backend: c, seen: map[sizes]int{}, replays: map[sizes]func() error{}}
			for range 5 {
				if err := pr.Run(); err != nil {
					t.Fatal(err)
				}
			}
			if runs != tc.runs || c.captures != tc.captures || c.replays != tc.replays {
				t.Errorf("%d runs, %d captures, %d replays: want %d, %d and %d", runs, c.captures, c.replays, tc.runs, tc.captures, tc.replays)
			}
			failed := errors.New("lost")
			pr.graphs.forget()
			pr.run = func() error { return failed }
			if err := pr.Run(); !errors.Is(err, failed) {
				t.Errorf("error %v: want %v", err, failed)
			}
		})
	}
}
