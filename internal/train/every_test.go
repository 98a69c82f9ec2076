package train

import (
	"strings"
	"testing"
)

func TestEvery(t *testing.T) {
	for _, tc := range []struct {
		text, written   string
		steps, perEpoch int
		want            int
		reason          string
	}{
		{"0", "0", 100, 10, 0, ""},
		{"1", "1", 100, 10, 1, ""},
		{"500", "500", 100, 10, 500, ""},
		{"20.0", "20", 100, 10, 20, ""}, // as JSON's writers may
		{"0.1", "0.1", 30, 10, 3, "10% of 30 steps"},
		{"10%", "0.1", 30, 10, 3, "10% of 30 steps"},
		{"7%", "0.07", 100, 10, 7, "7% of 100 steps"},
		{"0.3", "0.3", 10, 10, 3, "30% of 10 steps"},
		{"0.1", "0.1", 5, 10, 1, "10% of 5 steps"},
		{"0.25", "0.25", 10, 10, 3, "25% of 10 steps"}, // rounded up, as Transformers does
		{"100%", "100%", 10, 10, 10, "100% of 10 steps"},
		{"1e-9", "0.000000001", 10, 10, 1, "1e-07% of 10 steps"},
		{"1epoch", "1epoch", 30, 11, 11, "1epoch of 11 steps each"},
		{"0.5epoch", "0.5epoch", 30, 11, 6, "0.5epoch of 11 steps each"},
		{"2 epochs", "2epoch", 30, 11, 22, "2epoch of 11 steps each"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			var e, again Every
			if err := e.UnmarshalText([]byte(tc.text)); err != nil {
				t.Fatal(err)
			}
			if e.String() != tc.written {
				t.Errorf("written %q, want %q", e, tc.written)
			}
			if err := again.UnmarshalText([]byte(e.String())); err != nil || again != e {
				t.Errorf("read back %v, %v, want %v", again, err, e)
			}
			if n, reason := e.Steps(tc.steps, tc.perEpoch); n != tc.want || reason != tc.reason {
				t.Errorf("%d (%s), want %d (%s)", n, reason, tc.want, tc.reason)
			}
		})
	}
}

func TestEveryRefuses(t *testing.T) {
	e := EverySteps(3)
	for _, text := range []string{"", "-1", "1.5", "epoch", "-1epoch", "0epoch", "0%", "101%", "%", "NaN", "NaN%", "Inf", "Infepoch", "1e10", "1 step", "0.1.2"} {
		if err := e.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "want a whole number of steps") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if e != EverySteps(3) {
		t.Errorf("a refused text left %v", e)
	}
}
