package datasets

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Summary is what reading a data file came to.
type Summary struct {
	File string
	// Container is the file's kind ("JSON lines, gzip"), Format the layout of
	// its records ("preference: prompt + chosen + rejected").
	Container, Format string
	// Unread are the columns of the first record that the format does not read, and
	// the keys of its messages: "messages.weight".
	Unread []string
	// Read is the number of records, Kept of those that became examples.
	Read, Kept int
	// Dropped are the records left out, by reason.
	Dropped []Drop
	// Truncated counts the examples that were cut and TruncatedTokens what they
	// lost.
	Truncated       int
	TruncatedTokens int64
	// Tokens counts the tokens kept, a pair's prompt once, and Targets those
	// among them that are predicted.
	Tokens, Targets int64
	// Lengths are the lengths before anything was cut or dropped for length, of
	// the longer side of a pair.
	Lengths Histogram
}

// Drop counts the records of one reason.
type Drop struct {
	Reason Reason
	Count  int
	// Numbers are their lines, or their places among the records where Unit
	// says so.
	Numbers []int
	Unit    string // "line" or "record"
	// First is what is wrong with the first of them, where the reason does not
	// say it all.
	First string
}

// maxListed is how many lines are listed for one reason.
const maxListed = 10

// String is "empty answer: 4 (lines 87, 517, 926, 1104)", or "malformed: 1
// (line 4; "rejected" is missing)".
func (d Drop) String() string {
	var b strings.Builder
	unit := d.Unit
	if d.Count > 1 {
		unit += "s"
	}
	fmt.Fprintf(&b, "%s: %d (%s ", d.Reason, d.Count, unit)
	for i, n := range d.Numbers[:min(len(d.Numbers), maxListed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(n))
	}
	if len(d.Numbers) > maxListed {
		b.WriteString(", ...")
	}
	b.WriteString(d.first())
	return b.String() + ")"
}

// first is "; first: bad JSON: it ends early" of several.
func (d Drop) first() string {
	switch {
	case d.First == "":
		return ""
	case d.Count == 1:
		return "; " + d.First
	}
	return "; first: " + d.First
}

// String is one line: what was read, kept, dropped and why.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s: %d of %d records, %d tokens, %d targets", s.File, s.Container, s.Format, s.Kept, s.Read, s.Tokens, s.Targets)
	if s.Truncated > 0 {
		fmt.Fprintf(&b, "; %d cut by %d tokens", s.Truncated, s.TruncatedTokens)
	}
	for i, d := range s.Dropped {
		if i == 0 {
			b.WriteString("; dropped ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(d.String())
	}
	return b.String()
}

// UnreadLine is a line on what of the records is not read; "" where all is.
func (s Summary) UnreadLine() string {
	if len(s.Unread) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: not read: %s", s.File, strings.Join(s.Unread, ", "))
}

// drop counts a record that was left out; first is what is wrong with it.
func (s *Summary) drop(reason Reason, number int, unit, first string) {
	for i := range s.Dropped {
		if d := &s.Dropped[i]; d.Reason == reason {
			d.Count++
			d.Numbers = append(d.Numbers, number)
			return
		}
	}
	s.Dropped = append(s.Dropped, Drop{Reason: reason, Count: 1, Numbers: []int{number}, Unit: unit, First: first})
}

// Histogram counts lengths by powers of two: Counts[i] are those in
// (2^(i-1), 2^i], the first those of 0 and 1.
type Histogram struct {
	Counts   []int
	Min, Max int
	Sum      int64
	N        int
}

func (h *Histogram) add(n int) {
	bucket := 0
	if n > 1 {
		bucket = bits.Len(uint(n - 1))
	}
	for len(h.Counts) <= bucket {
		h.Counts = append(h.Counts, 0)
	}
	h.Counts[bucket]++
	if h.N == 0 || n < h.Min {
		h.Min = n
	}
	h.Max = max(h.Max, n)
	h.Sum += int64(n)
	h.N++
}

// Mean is the mean length; 0 where there is none.
func (h Histogram) Mean() float64 {
	if h.N == 0 {
		return 0
	}
	return float64(h.Sum) / float64(h.N)
}
