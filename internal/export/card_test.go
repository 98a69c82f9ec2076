package export

import (
	"strings"
	"testing"
)

// A lineage has the sums of training and evaluation end to end.
func TestSumsStandApart(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for sums, want := range map[string]string{"": "", a: a, a + b: a + ", " + b} {
		if got := apart(sums); got != want {
			t.Errorf("%q becomes %q, want %q", sums, got, want)
		}
	}
}
