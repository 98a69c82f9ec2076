package align

import (
	"errors"
	"fmt"
)

// repeats counts the training records that are exact copies: of a record of
// the evaluation, or else of one before them.
type repeats struct{ records, copies, shared, held, against int }

// opposed is a record that another can contradict.
type opposed interface{ Opposite() [32]byte }

// checkRepeats tells how many training records repeat others, and leaves them
// out where dedupe is on. Records are the same whose tokens are.
func checkRepeats[T hashed](s *stage, parts [][]T, held []T) ([][]T, error) {
	evaluated, seen := map[[32]byte]bool{}, map[[32]byte]bool{}
	for _, r := range held {
		evaluated[r.Hash()] = true
	}
	found := repeats{held: len(held)}
	kept := make([][]T, len(parts))
	for i, part := range parts {
		for _, r := range part {
			if o, is := any(r).(opposed); is && (seen[o.Opposite()] || evaluated[o.Opposite()]) {
				found.against++
			}
			if h := r.Hash(); found.isNew(evaluated[h], seen[h]) {
				seen[h] = true
				kept[i] = append(kept[i], r)
			}
		}
	}
	s.env.note(found.line(s.settings.Dedupe))
	if found.against > 0 {
		s.env.note(fmt.Sprintf("contradictions: %d of %d training records say the opposite of earlier ones, or of the evaluation: the same prompt and answers, judged the other way round", found.against, found.records))
	}
	if !s.settings.Dedupe {
		return parts, nil
	}
	for _, part := range kept {
		if len(part) == 0 {
			return nil, nothingNew(len(kept) > 1)
		}
	}
	return kept, nil
}

func (f *repeats) isNew(evaluated, seen bool) bool {
	f.records++
	switch {
	case evaluated:
		f.shared++
	case seen:
		f.copies++
	}
	return !evaluated && !seen
}

func (f *repeats) line(dedupe bool) string {
	text := fmt.Sprintf("repeats: %d of %d training records are exact copies of earlier ones", f.copies, f.records)
	if f.held > 0 {
		text += fmt.Sprintf(", %d are in the evaluation too", f.shared)
	}
	switch {
	case f.copies+f.shared == 0:
		return text
	case dedupe:
		return text + ": left out"
	}
	return text + "; --dedupe on leaves them out"
}

// nothingNew is the error of a file of which dedupe leaves nothing; among says that it
// is one of several.
func nothingNew(among bool) error {
	if among {
		return errors.New("dedupe: a file has no record that is not elsewhere: leave the file out, or dedupe off")
	}
	return errors.New("dedupe: every training record is in the evaluation too: evaluate on other records, or dedupe off")
}
