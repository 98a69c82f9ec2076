package model

import (
	"fmt"
	"math"
	"slices"

	"align/datasets"
	"align/internal/graph"
)

// Logits are those of a text after each of its tokens, [len(ids), V]. The
// adapter, allocated with the model, may be nil.
func Logits(m *Model, a *Adapter, ids []int32) ([]float64, error) {
	p := everyRow(ids)
	d, err := m.NewDecoder(DecoderOptions{Capacity: SizeOf(&p, 0), Adapter: a})
	if err != nil {
		return nil, err
	}
	node := d.Linear(d.Hidden, d.Head, nil)
	return d.once(m, &p, node)
}

// Scores are what the head of an adapter, allocated with the model, gives a text
// after each of its tokens, [len(ids)].
func Scores(m *Model, a *Adapter, ids []int32) ([]float64, error) {
	p := everyRow(ids)
	d, err := m.NewScorer(DecoderOptions{Capacity: SizeOf(&p, 0), Adapter: a})
	if err != nil {
		return nil, err
	}
	return d.once(m, &p, d.Scores)
}

// everyRow is the pack of a text, every row of it wanted, not only those before a
// target.
func everyRow(ids []int32) datasets.Pack {
	e := datasets.Example{IDs: ids, LossMask: make([]bool, len(ids))}
	for i := range ids {
		e.LossMask[i] = true
	}
	var p datasets.Pack
	p.AddExample(e, 0)
	p.Rows, p.Targets, p.Sequence = nil, nil, nil
	for i := range ids {
		p.Rows, p.Targets, p.Sequence = append(p.Rows, int32(i)), append(p.Targets, 0), append(p.Sequence, 0)
	}
	return p
}

// once runs the graph on one pack and reads a node.
func (d *Decoder) once(m *Model, p *datasets.Pack, node *graph.Node) ([]float64, error) {
	s, err := d.Compile(m, nil, node)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.Load(p, 0); err != nil {
		return nil, err
	}
	if err := s.Run(); err != nil {
		return nil, err
	}
	return s.Float64s(nil, node)
}

// verifyTokens is how many tokens a written model is compared on.
const verifyTokens = 32

// Verification says how far a written model's logits are from those of the
// model and adapter it was made from.
type Verification struct {
	Tokens int
	// Difference is the largest difference of a logit, Scale the largest logit.
	Difference, Scale float64
	// Top1 is the share of tokens after which both models put the same one on
	// top.
	Top1 float64
	// KL is the mean over TextTokens tokens of a text of KL(m, written) of the
	// next token, in nats.
	KL         float64
	TextTokens int
}

// Verify loads a written model beside m, on its device, and compares their
// logits on tokens spread over the vocabulary, and their distributions on the
// ids of a text, which may be empty. The adapter may be nil.
func Verify(path string, m *Model, a *Adapter, text []int32) (Verification, error) {
	written, err := Load(path, m.backend, m.act, nil)
	if err != nil {
		return Verification{}, fmt.Errorf("reading the export back: %w", err)
	}
	defer written.Close()
	if written.Config.VocabSize != m.Config.VocabSize {
		return Verification{}, fmt.Errorf("model: %s has %d tokens, its base %d", path, written.Config.VocabSize, m.Config.VocabSize)
	}
	vocab := m.Config.VocabSize
	got, want, err := bothLogits(written, m, a, m.Config.verifyIDs())
	if err != nil {
		return Verification{}, err
	}
	v := compareLogits(got, want, vocab)
	if len(text) > 0 {
		if got, want, err = bothLogits(written, m, a, text); err != nil {
			return v, err
		}
		v.KL, v.TextTokens = meanKL(got, want, vocab), len(text)
	}
	return v, nil
}

// VerifyScores is [Verify] for a merged reward model, whose head the folder holds.
func VerifyScores(path string, m *Model, a *Adapter) (Verification, error) {
	written, err := Load(path, m.backend, m.act, nil)
	if err != nil {
		return Verification{}, fmt.Errorf("reading the export back: %w", err)
	}
	defer written.Close()
	head, values, err := ReadScored(path, ScoreHead, written.Config)
	if err != nil {
		return Verification{}, fmt.Errorf("reading the export back: %w", err)
	}
	if err := written.AllocAdapter(head, values); err != nil {
		return Verification{}, err
	}
	ids := m.Config.verifyIDs()
	got, err := Scores(written, head, ids)
	if err != nil {
		return Verification{}, err
	}
	want, err := Scores(m, a, ids)
	return compareLogits(got, want, 1), err
}

// CompareAdapters compares the logits of two adapters, allocated with m, on
// tokens spread over the vocabulary; b is the one to keep to.
func CompareAdapters(m *Model, a, b *Adapter) (Verification, error) {
	ids := m.Config.verifyIDs()
	got, err := Logits(m, a, ids)
	if err != nil {
		return Verification{}, err
	}
	want, err := Logits(m, b, ids)
	if err != nil {
		return Verification{}, err
	}
	return compareLogits(got, want, m.Config.VocabSize), nil
}

// CompareScores is [CompareAdapters] for reward models: the score is the only logit.
func CompareScores(m *Model, a, b *Adapter) (Verification, error) {
	ids := m.Config.verifyIDs()
	got, err := Scores(m, a, ids)
	if err != nil {
		return Verification{}, err
	}
	want, err := Scores(m, b, ids)
	if err != nil {
		return Verification{}, err
	}
	return compareLogits(got, want, 1), nil
}

// verifyIDs are tokens spread over the vocabulary.
func (c Config) verifyIDs() []int32 {
	ids := make([]int32, min(verifyTokens, max(c.ContextLength, 1)))
	for i := range ids {
		ids[i] = int32(i * c.VocabSize / len(ids))
	}
	return ids
}

func bothLogits(written, m *Model, a *Adapter, ids []int32) (got, want []float64, err error) {
	if want, err = Logits(m, a, ids); err == nil {
		got, err = Logits(written, nil, ids)
	}
	return got, want, err
}

// meanKL is the mean over the rows of two tables of logits of
//
//	KL(p, q) = sum_i p_i (log p_i - log q_i), p = softmax(want), q = softmax(got)
func meanKL(got, want []float64, vocab int) float64 {
	var sum float64
	for row := 0; row < len(want); row += vocab {
		p, q := want[row:row+vocab], got[row:row+vocab]
		logP, logQ := logSumExp(p), logSumExp(q)
		for i := range p {
			sum += math.Exp(p[i]-logP) * (p[i] - logP - q[i] + logQ)
		}
	}
	return sum / float64(max(len(want)/vocab, 1))
}

func logSumExp(x []float64) float64 {
	most := slices.Max(x)
	var sum float64
	for _, v := range x {
		sum += math.Exp(v - most)
	}
	return most + math.Log(sum)
}

func compareLogits(got, want []float64, vocab int) Verification {
	v := Verification{Tokens: len(want) / vocab}
	agree := 0
	for row := 0; row < len(want); row += vocab {
		topGot, topWant := row, row
		for i := row; i < row+vocab; i++ {
			v.Difference = max(v.Difference, math.Abs(got[i]-want[i]))
			v.Scale = max(v.Scale, math.Abs(want[i]))
			if got[i] > got[topGot] {
				topGot = i
			}
			if want[i] > want[topWant] {
				topWant = i
			}
		}
		if topGot == topWant {
			agree++
		}
	}
	v.Top1 = float64(agree) / float64(max(v.Tokens, 1))
	return v
}
