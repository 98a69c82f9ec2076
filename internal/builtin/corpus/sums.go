package corpus

import "strconv"

// Sum is a sum or a word problem with the number that answers it.
type Sum struct {
	Prompt    string `json:"prompt"`
	Reference string `json:"reference"`
}

// sumTries bounds the draws for a prompt that was not there before: there are
// some 2,000 prompts of bare sums and many more of word problems.
const sumTries = 1000

// Sums are n different prompts, sums and word problems in turn, none of them in
// without; fewer where the prompts run out.
func Sums(seed uint64, n int, without map[string]bool) []Sum {
	s := newSource(seed, sumStream)
	seen := map[string]bool{}
	var sums []Sum
	for tries := 0; len(sums) < n && tries < sumTries; tries++ {
		o := s.operation()
		e := s.asked(o)
		if len(sums)%2 == 1 {
			for o.sign == "x" {
				o = s.operation()
			}
			e = s.told(o)
		}
		if seen[e.Prompt] || without[e.Prompt] {
			continue
		}
		seen[e.Prompt] = true
		sums, tries = append(sums, Sum{e.Prompt, strconv.Itoa(o.result)}), 0
	}
	return sums
}
