package tokenizer

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// AddedRule is how an added token is found in a text, in the words of
// tokenizer.json (added_vocabulary.rs of Hugging Face's tokenizers).
type AddedRule struct {
	// SingleWord finds it only where no character of a word stands beside it.
	SingleWord bool
	// LStrip and RStrip give it the white space on its left or right, which
	// has no id of its own then.
	LStrip, RStrip bool
	// Normalized looks for it last, between the tokens that are not
	// normalized.
	Normalized bool
}

// addedSet finds some of the added tokens in a text.
type addedSet struct {
	ids     map[string]int32
	lengths []int     // of the names, longest first
	start   [256]bool // the first bytes of the names
	// ordinary says that one of them is not special.
	ordinary bool
}

func (s *addedSet) add(name string, id int32, kind TokenType) {
	if s.ids == nil {
		s.ids = map[string]int32{}
	}
	s.ids[name] = id
	s.start[name[0]] = true
	if !slices.Contains(s.lengths, len(name)) {
		s.lengths = append(s.lengths, len(name))
		slices.SortFunc(s.lengths, func(a, b int) int { return b - a })
	}
	s.ordinary = s.ordinary || kind == UserDefined
}

// at is the longest token at the start of text; length 0 if none.
func (s *addedSet) at(text string) (id int32, length int) {
	if !s.start[text[0]] {
		return 0, 0
	}
	for _, n := range s.lengths {
		if n > len(text) {
			continue
		}
		if id, ok := s.ids[text[:n]]; ok {
			return id, n
		}
	}
	return 0, 0
}

// indexAdded prepares the search for added tokens in a text.
func (t *Tokenizer) indexAdded() {
	for name, id := range t.added {
		set := &t.addedSets[0]
		if t.rules[id].Normalized {
			set = &t.addedSets[1]
		}
		set.add(name, id, t.types[id])
	}
}

// appendSplit appends the ids of text, in which the tokens of the sets are
// looked for one set after the other: the leftmost first, and the longest of
// those. Without special, the name of a special token is text; it hides the
// tokens inside it all the same.
func (t *Tokenizer) appendSplit(dst []int32, sets []addedSet, text string, special bool) []int32 {
	for len(sets) > 0 && !sets[0].ordinary && !(special && len(sets[0].ids) > 0) {
		sets = sets[1:]
	}
	if len(sets) == 0 {
		return t.appendText(dst, text)
	}
	start := 0
	for i := 0; i < len(text); {
		id, n := sets[0].at(text[i:])
		if n == 0 {
			i++
			continue
		}
		from, to := i, i+n
		i = to
		if !special && t.IsControl(id) || t.rules[id].SingleWord && insideWord(text, from, to) {
			continue
		}
		from, to = t.strip(id, text, start, from, to)
		if start < from {
			dst = t.appendSplit(dst, sets[1:], text[start:from], special)
		}
		dst = append(dst, id)
		start = to
	}
	if start == len(text) {
		return dst
	}
	return t.appendSplit(dst, sets[1:], text[start:], special)
}

// strip is the place of a token with the white space that it takes; what lies
// before start belongs to the token before.
func (t *Tokenizer) strip(id int32, text string, start, from, to int) (int, int) {
	for t.rules[id].LStrip && from > start {
		r, n := utf8.DecodeLastRuneInString(text[:from])
		if !unicode.IsSpace(r) {
			break
		}
		from -= n
	}
	for t.rules[id].RStrip && to < len(text) {
		r, n := utf8.DecodeRuneInString(text[to:])
		if !unicode.IsSpace(r) {
			break
		}
		to += n
	}
	return from, to
}

// insideWord says whether a character of a word stands beside text[from:to].
func insideWord(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return isWord(before) || isWord(after)
}

// isWord is \w of Unicode's regular expressions (UTS 18, annex C).
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc,
		unicode.Other_Alphabetic, unicode.Other_Lowercase, unicode.Other_Uppercase, unicode.Join_Control)
}
