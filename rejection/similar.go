package rejection

import "strings"

// likeness is the Dice coefficient of the pairs of neighbouring characters of
// two texts, spaces evened out: 1 for the same, 0 for nothing in common.
//
//	2·|P(a) ∩ P(b)| / (|P(a)| + |P(b)|),  P a multiset
func likeness(a, b string) float64 {
	x, y := []rune(even(a)), []rune(even(b))
	if string(x) == string(y) {
		return 1
	}
	if len(x) < 2 || len(y) < 2 {
		return 0
	}
	count := map[[2]rune]int{}
	for i := range len(x) - 1 {
		count[[2]rune(x[i:i+2])]++
	}
	common := 0
	for i := range len(y) - 1 {
		if p := [2]rune(y[i : i+2]); count[p] > 0 {
			count[p]--
			common++
		}
	}
	return 2 * float64(common) / float64(len(x)+len(y)-2)
}

func even(s string) string { return strings.Join(strings.Fields(s), " ") }
