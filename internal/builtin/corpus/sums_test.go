package corpus

import (
	"regexp"
	"slices"
	"strconv"
	"testing"
)

func TestSumsAreDifferentAndLeaveOut(t *testing.T) {
	first := Sums(1, 300, nil)
	if len(first) != 300 || !slices.Equal(first, Sums(1, 300, nil)) {
		t.Fatalf("%d sums, or others the second time", len(first))
	}
	seen := map[string]bool{}
	for _, s := range first {
		seen[s.Prompt] = true
	}
	if len(seen) != len(first) {
		t.Errorf("%d different prompts of %d", len(seen), len(first))
	}
	for _, s := range Sums(1, 300, seen) {
		if seen[s.Prompt] {
			t.Errorf("%q was to be left out", s.Prompt)
		}
	}
}

// TestSumsRunOut: 8 ways to ask for 296 operations, and as many word problems.
func TestSumsRunOut(t *testing.T) {
	if n := len(Sums(1, 6000, nil)); n < 4700 || n > 2*8*296 {
		t.Errorf("%d sums", n)
	}
}

// TestReferencesAreTheResults: every sum's reference is what its numbers make.
func TestReferencesAreTheResults(t *testing.T) {
	for _, s := range Sums(2, 400, nil) {
		numbers := number.FindAllString(s.Prompt, -1)
		if len(numbers) != 2 {
			t.Fatalf("%q has %d numbers", s.Prompt, len(numbers))
		}
		a, _ := strconv.Atoi(numbers[0])
		b, _ := strconv.Atoi(numbers[1])
		want := a * b
		switch {
		case plus.MatchString(s.Prompt):
			want = a + b
		case minus.MatchString(s.Prompt):
			want = a - b
		}
		if s.Reference != strconv.Itoa(want) {
			t.Errorf("%q: reference %s, want %d", s.Prompt, s.Reference, want)
		}
	}
}

var number, plus, minus = regexp.MustCompile(`\d+`), regexp.MustCompile(`\+|plus|gets`), regexp.MustCompile(` - |minus|gives`)
