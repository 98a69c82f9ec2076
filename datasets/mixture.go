package datasets

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// Source is one file of a mixture. Weight is its share of the examples that are
// dealt; 0 in all sources deals every example of every file alike.
type Source struct {
	Path   string
	Weight float64
}

// ParseSources reads files with weights, "a.jsonl:0.7,b.parquet:0.3", or
// without, "a.jsonl,b.parquet". The weights are scaled to a sum of 1. A name
// with commas in it is one source where there is a file of that name. All
// faults are returned at once.
func ParseSources(text string) ([]Source, error) {
	var sources []Source
	var errs []error
	weighted := 0
	for _, part := range splitSources(text) {
		s, has, err := parseSource(part)
		if err != nil {
			errs = append(errs, err)
		}
		if has {
			weighted++
		}
		sources = append(sources, s)
	}
	if weighted > 0 && weighted < len(sources) {
		errs = append(errs, fmt.Errorf("datasets: sources %q: %d of %d have a weight: give all of them one, or none", text, weighted, len(sources)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	scale(sources)
	return sources, nil
}

// maxCommas of a name are looked for on the disk.
const maxCommas = 8

// splitSources splits at the commas that are not in the name of a file; of
// several such names the longest counts.
func splitSources(text string) (parts []string) {
	for words := strings.Split(text, ","); len(words) > 0; {
		n := min(len(words), 1+maxCommas)
		for n > 1 && !isSource(strings.Join(words[:n], ",")) {
			n--
		}
		parts = append(parts, strings.TrimSpace(strings.Join(words[:n], ",")))
		words = words[n:]
	}
	return parts
}

// isSource tells whether a source is of a file that exists.
func isSource(text string) bool {
	s, _, err := parseSource(strings.TrimSpace(text))
	if err != nil {
		return false
	}
	info, err := os.Stat(s.Path)
	return err == nil && !info.IsDir()
}

// parseSource splits a weight off the end; a colon before what is no number is
// part of the path.
func parseSource(text string) (s Source, weighted bool, err error) {
	s.Path = text
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		if w, err := strconv.ParseFloat(text[i+1:], 64); err == nil {
			s.Path, s.Weight, weighted = text[:i], w, true
		}
	}
	switch {
	case s.Path == "":
		return s, weighted, fmt.Errorf("datasets: source %q names no file", text)
	case weighted && !(s.Weight > 0 && s.Weight <= math.MaxFloat32):
		return s, weighted, fmt.Errorf("datasets: source %q: the weight must be positive and finite, got %v", text, s.Weight)
	}
	return s, weighted, nil
}

func scale(sources []Source) {
	sum := 0.0
	for _, s := range sources {
		sum += s.Weight
	}
	for i := range sources {
		if sum > 0 {
			sources[i].Weight /= sum
		}
	}
}

// Share is a source of a mixture as it is dealt: N examples of it, that make
// Weight of what is dealt. The weights of a mixture sum to 1.
type Share struct {
	N      int
	Weight float64
}

// MixedEpoch is the number of examples in an epoch of a mixture: as many as
// its sources hold together, or fewer, so that no source is passed over more
// than passes times in it.
func MixedEpoch(shares []Share, passes float64) int {
	n := 0
	most := math.Inf(1)
	for _, s := range shares {
		n += s.N
		most = min(most, passes*float64(s.N)/s.Weight)
	}
	return max(1, int(min(float64(n), most)))
}

// interleaver deals source after source so that of any first n the source i
// got n·w_i, up to less than 1: the algorithm of Tijdeman, "The chairman
// assignment problem", Discrete Mathematics 32 (1980), whose bound is
// 1 - 1/(2k-2) with k sources.
type interleaver struct {
	shares []Share
	dealt  []int // of each source
	n      int   // of all
}

func newInterleaver(shares []Share) *interleaver {
	return &interleaver{shares: shares, dealt: make([]int, len(shares))}
}

// next is the source of the next example, and its number within the source.
//
// Of the sources that lag by 1/(2k-2) or more it takes the one that is the
// first to lag by the bound if it is passed over.
func (m *interleaver) next() (source, number int) {
	m.n++
	slack := 1 / float64(max(2*len(m.shares)-2, 2))
	earliest := math.Inf(1)
	for i, s := range m.shares {
		// The conversion keeps the product apart from the subtraction: fused,
		// as some processors do it, it would round to another order.
		lag := float64(s.Weight*float64(m.n)) - float64(m.dealt[i])
		if due := (1 - slack - lag) / s.Weight; lag >= slack-rounding && due < earliest {
			source, earliest = i, due
		}
	}
	number = m.dealt[source]
	m.dealt[source]++
	return source, number
}

// rounding is what n·w may be off by for any n below 2^30: with two sources of
// one half each, a lag falls on the bound itself.
const rounding = 1e-6
