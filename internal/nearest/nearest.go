// Package nearest finds the known name that a mistyped one was meant to be.
//
// The distance is that of Damerau and Levenshtein in its restricted form
// (optimal string alignment): insertions, deletions, substitutions and swaps
// of neighbours count one each. It knows no dictionary and no abbreviations.
package nearest

import (
	"math"
	"strings"
)

// maxLength bounds the names that are compared, in bytes: longer ones are data
// that strayed into a name's place.
const maxLength = 64

// Name returns the name of known that is closest to name, or "" if none is
// close: at most a third of the letters may differ. Case and the choice
// between "-" and "_" do not count. The first of several equally close wins.
func Name(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := distance(fold(name), fold(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "_", "-"))
}

// distance keeps the last three rows of the usual table.
func distance(a, b string) int {
	if len(a) > maxLength || len(b) > maxLength {
		return math.MaxInt
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func cost(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
