package align

import (
	"strings"
	"testing"

	"align/datasets"
	"align/internal/train"
	"align/reward"
)

func rows(prompts ...int32) []datasets.Pair {
	var list []datasets.Pair
	for _, p := range prompts {
		list = append(list, datasets.Pair{Prompt: []int32{p}, Chosen: []int32{1}, Rejected: []int32{2}})
	}
	return list
}

func prompts(list []datasets.Pair) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteByte(byte('a' + p.Prompt[0]))
	}
	return b.String()
}

// A record of the evaluation counts as shared however often it stands in the
// training data; any other counts as a copy from its second place on, whichever
// file that is in.
func TestRepeats(t *testing.T) {
	for _, tc := range []struct {
		name       string
		parts      [][]datasets.Pair
		held       []datasets.Pair
		note, kept string
	}{
		{"none", [][]datasets.Pair{rows(0, 1)}, rows(2), "repeats: 0 of 2 training records are exact copies of earlier ones, 0 are in the evaluation too", "ab"},
		{"copies across files", [][]datasets.Pair{rows(0, 1, 0), rows(1, 2)}, nil, "repeats: 2 of 5 training records are exact copies of earlier ones", "ab c"},
		{"shared", [][]datasets.Pair{rows(0, 1, 1, 2, 2)}, rows(1, 3), "repeats: 1 of 5 training records are exact copies of earlier ones, 2 are in the evaluation too", "ac"},
	} {
		for _, dedupe := range []bool{false, true} {
			var notes []string
			s := &stage{settings: &train.Settings{Dedupe: dedupe}, env: Environment{Note: func(line string) { notes = append(notes, line) }}}
			kept, err := checkRepeats(s, tc.parts, tc.held)
			if err != nil {
				t.Fatal(err)
			}
			if len(notes) != 1 || !strings.HasPrefix(notes[0], tc.note) {
				t.Errorf("%s: told %q, want %q", tc.name, notes, tc.note)
			}
			var got []string
			for _, part := range kept {
				got = append(got, prompts(part))
			}
			if dedupe && strings.Join(got, " ") != tc.kept {
				t.Errorf("%s: kept %q, want %q", tc.name, got, tc.kept)
			}
			if !dedupe && len(kept) > 0 && len(kept[0]) != len(tc.parts[0]) {
				t.Errorf("%s: %q is left without dedupe", tc.name, got)
			}
		}
	}
}

func TestDedupeLeavesNoFileEmpty(t *testing.T) {
	s := &stage{settings: &train.Settings{Dedupe: true}}
	if _, err := checkRepeats(s, [][]datasets.Pair{rows(0), rows(0)}, nil); err == nil {
		t.Error("a file without a record of its own: no error")
	}
}

// A record that says the opposite of another is told of and kept: which of the two is
// right is not known.
func TestContradictions(t *testing.T) {
	turned := rows(1)
	turned[0].Chosen, turned[0].Rejected = turned[0].Rejected, turned[0].Chosen
	labelled := datasets.Unpaired{Prompt: []int32{1}, Response: []int32{2}, Desirable: true}
	other := labelled
	other.Desirable = false
	const told = " training records say the opposite of earlier ones, or of the evaluation: the same prompt and answers, judged the other way round"
	for name, c := range map[string]struct {
		check func(s *stage) (int, error)
		want  string
	}{
		"pairs": {func(s *stage) (int, error) {
			kept, err := checkRepeats(s, [][]datasets.Pair{append(rows(0, 1), turned...)}, nil)
			return len(kept[0]), err
		}, "contradictions: 1 of 3"},
		"evaluation": {func(s *stage) (int, error) {
			kept, err := checkRepeats(s, [][]datasets.Pair{rows(0, 1, 2)}, turned)
			return len(kept[0]), err
		}, "contradictions: 1 of 3"},
		"labels": {func(s *stage) (int, error) {
			kept, err := checkRepeats(s, [][]datasets.Unpaired{{labelled, other, {Prompt: []int32{3}, Response: []int32{2}}}}, nil)
			return len(kept[0]), err
		}, "contradictions: 1 of 3"},
		"orders": {func(s *stage) (int, error) {
			group := func(prompt int32, answers ...int32) (g reward.Group) {
				g.Prompt = []int32{prompt}
				for _, a := range answers {
					g.Answers = append(g.Answers, []int32{a})
				}
				return g
			}
			kept, err := checkRepeats(s, [][]reward.Group{{group(1, 4, 5, 6), group(1, 6, 5, 4), group(2, 4, 5)}}, nil)
			return len(kept[0]), err
		}, "contradictions: 1 of 3"},
	} {
		var notes []string
		s := &stage{settings: &train.Settings{Dedupe: true}, env: Environment{Note: func(line string) { notes = append(notes, line) }}}
		kept, err := c.check(s)
		if err != nil || kept != 3 || len(notes) != 2 || notes[1] != c.want+told {
			t.Errorf("%s: kept %d, told %q, %v", name, kept, notes, err)
		}
	}
}
