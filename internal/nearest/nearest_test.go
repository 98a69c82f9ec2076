package nearest

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestName(t *testing.T) {
	known := []string{"learning-rate", "label-smoothing", "beta", "batch", "model", "max-length", "pairs"}
	for _, tc := range []struct{ name, want string }{
		{"learning-rat", "learning-rate"},
		{"learning_rate", "learning-rate"},
		{"Beta", "beta"},
		{"bteа", ""}, // the last letter is Cyrillic: two bytes, three edits
		{"bach", "batch"},
		{"btach", "batch"}, // a swap of neighbours counts one
		{"max-lenght", "max-length"},
		{"pair", "pairs"},
		{"x", ""},
		{"", ""},
		{"temperature", ""},
		{strings.Repeat("beta", 100), ""},
	} {
		if got := Name(tc.name, known); got != tc.want {
			t.Errorf("Name(%q) = %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestDistanceIsSymmetricAndZeroOnlyOnEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.StringMatching(`[abc]{0,8}`)
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) {
			t.Fatalf("distance(%q, %q) = %d, the other way %d", a, b, d, distance(b, a))
		}
		if (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("distance(%q, %q) = %d", a, b, d)
		}
	})
}
