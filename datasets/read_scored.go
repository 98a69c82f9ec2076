package datasets

import (
	"context"
	"fmt"
	"slices"

	"align/internal/records"
)

// Ranked is a prompt with answers of which some are better than others.
type Ranked struct {
	Prompt    []int32
	Responses [][]int32
	// Scores[i] is of Responses[i]: higher is better. Of ranks, where 1 is the
	// best, they are the negatives.
	Scores []float64
	Place  string
}

// ReadRanked reads records of a prompt and responses, with a list of scores or
// of ranks. Bad records are treated as by ReadExamples.
func ReadRanked(ctx context.Context, path string, o Options) ([]Ranked, Summary, error) {
	return read(ctx, path, "ranked", rankedLayouts(), o)
}

// IsRanked says whether a file's first record has a list of responses, and so
// is for ReadRanked rather than ReadPairs.
func IsRanked(path string, m Mapping) (bool, error) { return firstHas(path, m, "responses") }

// firstHas says whether a file's first record has the first column, and of
// further ones, if there are any, one at least.
func firstHas(path string, m Mapping, column string, oneOf ...string) (bool, error) {
	file, err := records.Open(path)
	if err != nil {
		return false, fmt.Errorf("datasets: %w", err)
	}
	defer file.Close()
	r, err := file.Next()
	if err != nil {
		return false, nil // the reader tells what is wrong
	}
	m.apply(&r)
	has := func(name string) bool {
		_, ok := r.Get(name)
		return ok
	}
	return has(column) && (len(oneOf) == 0 || slices.ContainsFunc(oneOf, has)), nil
}

func rankedLayouts() []layout[Ranked] {
	return []layout[Ranked]{
		{Format{"ranked, scores", []string{"prompt", "responses", "scores"}, []string{"system", "tools"}}, rankedBy("scores", 1)},
		{Format{"ranked", []string{"prompt", "responses", "ranks"}, []string{"system", "tools"}}, rankedBy("ranks", -1)},
	}
}

func (x Ranked) count() (tokens, targets int) {
	for _, ids := range x.Responses {
		targets += len(ids)
	}
	return len(x.Prompt) + targets, targets
}

// readPrompt reads and renders the column prompt.
func (e *encoder) readPrompt(r records.Record) ([]Message, []int32, error) {
	c, err := conversation(r, "prompt")
	if err != nil {
		return nil, nil, err
	}
	return e.renderPrompt(r, c)
}

// renderPrompt checks and renders a prompt, with what stands beside it.
func (e *encoder) renderPrompt(r records.Record, c []Message) ([]Message, []int32, error) {
	c, err := withColumns(r, c)
	if err != nil {
		return nil, nil, err
	}
	if err := checkTurns(c, "user", "tool"); err != nil {
		return nil, nil, err
	}
	ids, err := e.prompt(c)
	return c, ids, err
}

// rankedBy reads the scores from a column; sign turns ranks into scores.
func rankedBy(column string, sign float64) func(*encoder, records.Record) (Ranked, error) {
	return func(e *encoder, r records.Record) (Ranked, error) {
		prompt, promptIDs, err := e.readPrompt(r)
		if err != nil {
			return Ranked{}, err
		}
		responses, err := requiredList(r, "responses")
		if err != nil {
			return Ranked{}, err
		}
		scores, err := numbers(r, column)
		if err != nil {
			return Ranked{}, err
		}
		if len(scores) != len(responses) {
			return Ranked{}, malformed(column, "has %d entries for %d responses", len(scores), len(responses))
		}
		if len(responses) < 2 {
			return Ranked{}, &degenerate{NoTarget, "there is nothing to compare with"}
		}
		answers := make([]*answer, len(responses))
		for i, v := range responses {
			s, err := sideOf("responses", v)
			if err != nil {
				return Ranked{}, err
			}
			a, err := e.answer(prompt, promptIDs, s.answer, "a response")
			if err != nil {
				return Ranked{}, err
			}
			answers[i] = &a
			scores[i] *= sign
		}
		out := Ranked{Scores: scores, Place: r.Place.String()}
		out.Prompt, err = e.fit(r.Place, promptIDs, answers...)
		for _, a := range answers {
			out.Responses = append(out.Responses, a.ids)
		}
		return out, err
	}
}
