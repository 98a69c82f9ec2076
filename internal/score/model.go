package score

import (
	"context"
	"fmt"
	"slices"

	"align/datasets"
	"align/model"
)

// Model is a Scorer that is a reward model: an adapter with a head, on a base.
// A score does not depend on what is scored beside it.
type Model struct {
	Base    *model.Model
	Adapter *model.Adapter
	// Encode gives an item's ids in the reward model's vocabulary; nil takes
	// the item's own.
	Encode func(Item) (prompt, response []int32, err error)
	// Shared, if not nil, is memory that is used in turns with other sessions.
	Shared *model.Shared

	program *program
	pack    datasets.Pack
	scores  []float64
}

// PackTokens is about how many tokens a pack holds.
const PackTokens = 2048

// Score runs the items in packs; neighbours with the same prompt share it.
func (m *Model) Score(ctx context.Context, items []Item) ([]float64, error) {
	encoded, err := m.encode(items)
	if err != nil {
		return nil, err
	}
	scores := make([]float64, 0, len(items))
	for from := 0; from < len(encoded); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to := m.fill(encoded, from)
		if err := m.run(); err != nil {
			return nil, err
		}
		scores = append(scores, m.scores...)
		from = to
	}
	return scores, nil
}

// Close gives the session's memory back.
func (m *Model) Close() {
	if m.program != nil {
		m.program.session.Close()
		m.program = nil
	}
}

// program is a compiled scorer.
type program struct {
	session *model.Session
	decoder *model.Decoder
}

// Held is the program's session.
func (p *program) Held() *model.Session { return p.session }

// answered is an item's ids.
type answered struct{ prompt, response []int32 }

func (m *Model) encode(items []Item) ([]answered, error) {
	encoded := make([]answered, len(items))
	for i, item := range items {
		a := answered{item.PromptIDs, item.ResponseIDs}
		if m.Encode != nil {
			var err error
			if a.prompt, a.response, err = m.Encode(item); err != nil {
				return nil, fmt.Errorf("score: answer %d of %d: %w", i+1, len(items), err)
			}
		}
		if len(a.response) == 0 {
			return nil, fmt.Errorf("score: answer %d of %d has no tokens", i+1, len(items))
		}
		if n := len(a.prompt) + len(a.response); n > m.Base.Config.ContextLength {
			return nil, fmt.Errorf("score: answer %d of %d has %d tokens with its prompt, the reward model's context is %d", i+1, len(items), n, m.Base.Config.ContextLength)
		}
		encoded[i] = a
	}
	return encoded, nil
}

// fill lays items from the given one into the pack and returns the first that
// is left.
func (m *Model) fill(items []answered, from int) int {
	m.pack.Reset()
	for from < len(items) && (len(m.pack.IDs) == 0 || len(m.pack.IDs)+len(items[from].prompt)+len(items[from].response) <= PackTokens) {
		prompt, tokens := items[from].prompt, len(m.pack.IDs)+len(items[from].prompt)
		var answers [][]int32
		for from < len(items) && slices.Equal(items[from].prompt, prompt) {
			tokens += len(items[from].response)
			if len(answers) > 0 && tokens > PackTokens {
				break
			}
			answers = append(answers, items[from].response)
			from++
		}
		m.pack.AddScored(prompt, 0, answers...)
	}
	return from
}

// run scores the pack.
func (m *Model) run() (err error) {
	if err := model.Grow(&m.program, model.SizeOf(&m.pack, 0), m.build); err != nil {
		return err
	}
	if err := m.program.session.Load(&m.pack, 0); err != nil {
		return err
	}
	if err := m.program.session.Run(); err != nil {
		return err
	}
	m.scores, err = m.program.session.Float64s(m.scores, m.program.decoder.Scores)
	return err
}

// build makes a program with room to spare.
func (m *Model) build(size model.Capacity) (*program, error) {
	d, err := m.Base.NewScorer(model.DecoderOptions{Capacity: size.Rounded(), Adapter: m.Adapter, Shared: m.Shared})
	if err != nil {
		return nil, err
	}
	p := &program{decoder: d}
	p.session, err = d.Compile(m.Base, nil, d.Scores)
	return p, err
}
