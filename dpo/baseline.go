package dpo

import (
	"context"

	"align/internal/train"
	"align/model"
)

// baseline is what the answers of a step, or of an evaluation, share.
type baseline struct {
	kl                     float64 // z
	desirable, undesirable int
}

func (b baseline) answers() float64 { return float64(b.desirable + b.undesirable) }

// baselineOf counts the answers and runs the others forward, without gradient.
func (t *UnpairedTrainer) baselineOf(ctx context.Context, answers []Answer, refs []Reference, indices []int) (b baseline, err error) {
	for _, i := range indices {
		if answers[i].Desirable {
			b.desirable++
		} else {
			b.undesirable++
		}
	}
	if !t.Loss.HasBaseline() {
		return b, nil
	}
	var policy, reference []float64
	for from := 0; from < len(indices); from += t.Config.Batch {
		if err := ctx.Err(); err != nil {
			return b, err
		}
		part := indices[from:min(from+t.Config.Batch, len(indices))]
		if err := t.runMismatched(answers, part); err != nil {
			return b, err
		}
		policy = append(policy, t.values[:len(part)]...)
		for _, i := range part {
			reference = append(reference, refs[i].Rejected)
		}
	}
	b.kl = KLBaseline(policy, reference)
	return b, nil
}

// runMismatched leaves log π(other|prompt) of the answers in values.
func (t *UnpairedTrainer) runMismatched(answers []Answer, part []int) error {
	t.pack.Reset()
	for _, i := range part {
		a := answers[i]
		t.pack.AddGroup(a.Prompt, 0, t.counted(a.Other, a.OtherFormat))
	}
	build := func(size model.Capacity) (*answerProgram, error) {
		d, err := t.Model.NewDecoder(model.DecoderOptions{Capacity: size, Adapter: t.Adapter, Full: t.Full, Shared: t.Model.Turns(&t.turns)})
		if err != nil {
			return nil, err
		}
		s, err := d.Compile(t.Model, nil, d.SequenceLogProbs)
		return &answerProgram{session: s, decoder: d}, err
	}
	if err := model.Grow(&t.mismatched, model.SizeOf(&t.pack, 0), build); err != nil {
		return err
	}
	g := t.mismatched
	if err := g.session.Load(&t.pack, 0); err != nil {
		return err
	}
	if err := g.session.Run(); err != nil {
		return err
	}
	var err error
	t.values, err = g.session.Float64s(t.values, g.decoder.SequenceLogProbs)
	return err
}

// add adds one answer to TRL's metrics of KTO, their names after the prefix.
// Sums over a whole step, which a mean cannot be of, have a weight of one step
// in all. In rewards/accuracies an answer counts as right where its log-ratio
// lies on its label's side of the baseline.
func (b baseline) add(m *train.Metrics, prefix string, beta, policy, reference float64, desirable bool) {
	reward, share := ImplicitReward(beta, policy, reference), 1/b.answers()
	side, other, n := "chosen", "rejected", b.desirable
	sign := 1.0
	if !desirable {
		side, other, sign, n = "rejected", "chosen", -1, b.undesirable
	}
	right := 0.0
	if sign*(policy-reference-b.kl) > 0 {
		right = 1
	}
	m.Add(prefix+"rewards/"+side, reward, 1)
	m.Add(prefix+"logps/"+side, policy, 1)
	m.Add(prefix+"rewards/accuracies", right, 1)
	if b.desirable > 0 && b.undesirable > 0 {
		m.Add(prefix+"rewards/margins", sign*reward/float64(n), share)
	}
	m.Add(prefix+"kl", b.kl*share, share)
	m.Add(prefix+"count/"+side, 1, share)
	m.Add(prefix+"count/"+other, 0, share)
}
